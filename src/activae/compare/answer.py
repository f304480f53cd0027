"""The answer: a verdict sentence, a row for each condition, and what weakens them with its mend.

In: paired scores. Out: an Answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from activae.compare import statistics
from activae.compare.collect import ACTIVATION, Runs
from activae.compare.pairing import LR, Paired, counted, pair
from activae.compare.planning import plan
from activae.compare.race import record
from activae.compare.statistics import ALPHA, Array
from activae.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 3  # so many worse conditions are named in the verdict
_LISTED = 4  # so many missing runs are named in a caveat
_MORE_SEEDS = "run 'seed=range(12)'"
_SPLIT_SEED = "data.split_seed"
_BUDGET = ("trainer.max_epochs", "trainer.max_steps", "trainer.early_stopping_patience")


@dataclass
class Answer:
    """What the runs say.

    table: a row for each condition, the best first, in the metric's own units: condition, n
    (seeds), diverged, mean, sd, iqm, difference to `reference` with its Student-t interval (low,
    high) and bootstrap-t interval (bootstrap_low, bootstrap_high), relative difference,
    p_better (probability that a run of it is better than one of the reference) and p: adjusted
    for all pairs, or for all comparisons with the baseline where one was asked for.
    best: those that cannot be told from the best, the best first. paired: what it is read from.
    Of the runs of a race verdict and best are the race's own.
    """

    factor: str
    metric: str
    reference: str
    verdict: str
    best: list[str]
    table: pd.DataFrame
    caveats: list[str]
    plan: list[str]
    paired: Paired


def answer(
    runs: Runs,
    by: Sequence[str] = (),
    metric: str | None = None,
    baseline: str | None = None,
    where: Sequence[str] = (),
) -> Answer:
    """Compare runs: by activation where that varies, otherwise by the key that does.

    by: the keys to compare by; metric: test/SE unless runs lack it, then val/SE; baseline: the
    condition that others are compared with (default: the best); where: KEY=VALUE, several hold
    together. Raises UserError where runs cannot be compared so; the message says what can.
    """
    import pandas as pd

    paired = pair(runs, by, metric, where)
    order = statistics.ranking(paired.scores)
    names = paired.conditions
    reference = order[0] if baseline is None else _index(names, baseline)
    pairs = statistics.all_pairs(paired.scores)
    leaders = statistics.like_the_best(paired.scores, pairs)
    p = pairs[reference]
    if baseline is not None:
        p = statistics.against_baseline(paired.scores, reference)
    table = pd.DataFrame(_columns(paired, reference, p)).iloc[order].reset_index(drop=True)
    verdict, best = _verdict(paired, pairs, leaders), [names[index] for index in leaders]
    race = record.told_of(paired.runs["path"], names)
    if race is not None and paired.metric == record.METRIC:
        verdict, best = race.verdict, race.best
    return Answer(
        factor=", ".join(paired.factor),
        metric=paired.metric,
        reference=names[reference],
        verdict=verdict,
        best=best,
        table=table,
        caveats=[*_caveats(paired, table), *runs.damaged],
        plan=[] if race is not None else list(plan(paired, pairs, leaders)),
        paired=paired,
    )


def _index(names: Sequence[str], wanted: str) -> int:
    for index, name in enumerate(names):
        if name.casefold() == wanted.casefold():
            return index
    raise UserError(f"--baseline {wanted}: is not among those compared: {', '.join(names)}")


def _columns(paired: Paired, reference: int, p: Array) -> dict[str, object]:
    scores, sign = paired.scores, paired.sign
    d = statistics.differences(scores, reference)
    mean, sd = statistics.mean_and_sd(scores)
    low, high = _in_units(statistics.t_interval(d), sign)
    bootstrap_low, bootstrap_high = _in_units(statistics.bootstrap_t_interval(d), sign)
    return {
        "condition": paired.conditions,
        "n": (~np.isnan(scores)).sum(0),
        "diverged": np.isinf(scores).sum(0),
        "mean": sign * mean,
        "sd": sd,
        "iqm": sign * statistics.interquartile_mean(scores),
        "difference": sign * statistics.mean_and_sd(d)[0],
        "low": low,
        "high": high,
        "bootstrap_low": bootstrap_low,
        "bootstrap_high": bootstrap_high,
        "relative": sign * statistics.relative_difference(scores, reference),
        "p_better": statistics.probability_of_improvement(scores, reference),
        "p": p,
    }


def _in_units(interval: tuple[Array, Array], sign: int) -> tuple[Array, Array]:
    low, high = interval
    return (low, high) if sign > 0 else (-high, -low)


def _verdict(paired: Paired, pairs: Array, leaders: Sequence[int]) -> str:
    """The answer in a sentence."""
    names, scores = paired.conditions, paired.scores
    if np.isinf(scores[~np.isnan(scores)]).all():
        return "no clear winner: every run diverged"
    best = leaders[0]
    n = _pairs_of_seeds(scores, best)
    if n == 0:
        return f"no clear winner: no other condition was run with the seeds of {names[best]}"
    if statistics.smallest_p(n) > ALPHA:
        return (
            f"no clear winner: {counted(n, 'seed')} can show none; "
            f"{names[best]} has the best mean so far"
        )
    worse = [index for index in statistics.ranking(scores) if index not in leaders]
    others = leaders[1:]
    told = [names[index] for index in leaders]
    separated = _above(min((pairs[best, index] for index in others), default=1))
    if not worse:
        return f"no clear winner: nothing separates {_and(told)} (p {separated})"
    sentence = f"{told[0]} is best"
    if others:
        each = pairs[np.ix_(leaders, leaders)]
        among = "them" if (each > ALPHA).all() else f"{_and(told[1:])} from {told[0]}"
        sentence = f"{_and(told)} are best: nothing separates {among} (p {separated})"
    return f"{sentence}; {_worse(paired, best, worse)}"


def _pairs_of_seeds(scores: Array, best: int) -> int:
    """The most seeds that the best shares with another condition."""
    shared = (~np.isnan(statistics.differences(scores, best))).sum(0)
    return int(np.delete(shared, best).max())


def _worse(paired: Paired, best: int, worse: Sequence[int]) -> str:
    """By how much those are worse that can be told from the best."""
    scores = paired.scores
    relative = statistics.relative_difference(scores, best)
    d = statistics.differences(scores, best)
    low, high = statistics.t_interval(d)
    size = np.abs(np.nanmean(np.where(np.isfinite(scores[:, best]), scores[:, best], np.nan)))
    parts = []
    for index in worse[:_NAMED]:
        name = paired.conditions[index]
        diverged = int(np.isinf(scores[:, index]).sum())
        if diverged:
            runs = int((~np.isnan(scores[:, index])).sum())
            parts.append(f"{name} is worse: {diverged} of {counted(runs, 'run')} diverged")
        elif paired.sign > 0 and np.isfinite(relative[index]):
            span = f"{percent(low[index] / size)}, {percent(high[index] / size)}"
            parts.append(f"{name} is worse by {percent(relative[index])} % [{span}]")
        else:
            mean = float(np.nanmean(d[:, index]))
            parts.append(f"{name} is worse by {mean:.3g} [{low[index]:.3g}, {high[index]:.3g}]")
    rest = len(worse) - _NAMED
    if rest > 0:
        parts.append(f"{rest} more {'is' if rest == 1 else 'are'} worse still")
    return "; ".join(parts)


def percent(part: float) -> str:
    """A part as per cent, without the sign: with a decimal below 10."""
    per_cent = 100 * part
    return f"{per_cent:.1f}" if abs(per_cent) < 9.95 else f"{per_cent:.0f}"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _above(p: float) -> str:
    """A round number that p is above: > .4."""
    if p >= 1:
        return "= 1"
    tenths = math.floor(10 * p)
    return f"> .{tenths}" if tenths else f"> .{math.floor(100 * p):02d}"


def _caveats(paired: Paired, table: pd.DataFrame) -> Iterator[str]:
    """What weakens the answer, each with what would mend it."""
    if record.of_a_race(paired.runs["path"]):
        told = record.told_of(paired.runs["path"], paired.conditions)
        guarantee = f"{told.guarantee}; " if told and told.guarantee else ""
        yield (
            f"a race: {guarantee}p and intervals do not allow for the looks, so for these train "
            "the best few on as many fresh seeds each"
        )
    yield from _of_seeds(paired)
    yield from _of_metric(paired)
    yield from _of_protocol(paired)
    yield from _of_pairing(paired)
    yield from _of_scores(paired, table)
    yield from paired.left_out


def _of_seeds(paired: Paired) -> Iterator[str]:
    scores = paired.scores
    n = _pairs_of_seeds(scores, statistics.ranking(scores)[0])
    smallest = statistics.smallest_p(n)
    if smallest > ALPHA:
        yield f"{counted(n, 'paired seed')} can reach no p below {smallest:.2g}: {_MORE_SEEDS}"
    missing = [
        f"{condition} lacks seed {seed}"
        for row, seed in enumerate(paired.seeds)
        for column, condition in enumerate(paired.conditions)
        if np.isnan(scores[row, column])
    ]
    if missing and n and not record.of_a_race(paired.runs["path"]):
        more = len(missing) - _LISTED
        end = f" and {more} more" if more > 0 else ""
        yield (
            f"runs are missing ({', '.join(missing[:_LISTED])}{end}): two conditions are compared "
            "by the seeds that both have; start the sweep again, it trains what it lacks"
        )
    if _SPLIT_SEED in paired.runs and len(paired.seeds) > 1:
        splits = paired.runs[_SPLIT_SEED].nunique()
        if splits == 1:
            yield (
                "one split for all seeds: the intervals leave out what another split would change: "
                "run with 'data.split_seed=${seed}'"
            )


def _of_metric(paired: Paired) -> Iterator[str]:
    if paired.metric.startswith("val/"):
        yield (
            f"{paired.metric} chose each run's best checkpoint, and is too good by that; compare "
            "on test: run with score.test=true, or choose such runs: --where score.test=true"
        )
    elif paired.metric.startswith("train/"):
        yield f"{paired.metric} says nothing about new data: compare by --metric test/SE"


def _of_protocol(paired: Paired) -> Iterator[str]:
    runs = paired.runs
    yield from _of_rates(paired)
    along = [key for key in paired.along if key not in (LR, *_BUDGET)]
    if along:
        yield (
            f"{', '.join(along[:_LISTED])} differ too, from one {paired.factor[0]} to another: the "
            f"answer is about both; hold all but {paired.factor[0]} equal"
        )
    steps = runs["steps"].dropna() if "steps" in runs else ()
    if len(steps) and min(steps) < max(steps) and "data" not in paired.averaged:
        yield (
            f"budgets differ: runs took {int(min(steps))} to {int(max(steps))} steps; set "
            f"trainer.max_steps={int(max(steps))} for all, without early stopping"
        )


def _of_rates(paired: Paired) -> Iterator[str]:
    """Whether each condition has the learning rate that suits it."""
    runs = paired.runs
    if LR not in runs or LR in paired.averaged:
        return
    if paired.tuning is not None:
        at_edge = [name for name in paired.conditions if _is_at_edge(paired.tuning, runs, name)]
        if at_edge:
            yield (
                f"the best lr of {_and(at_edge)} lies at the edge of those tried: a better one may "
                "lie beyond; tune with a larger hydra.sweeper.limit"
            )
    elif paired.factor == [ACTIVATION] and runs[LR].nunique() == 1:
        names = paired.conditions
        options = ",".join(names) if all(name.isidentifier() for name in names) else "A,B"
        yield (
            f"lr {runs[LR].iloc[0]:g} for all, tuned for none of them; tune it for each: "
            f"python train.py -m experiment=compare_activations activation={options}"
        )


def _is_at_edge(tuning: pd.DataFrame, runs: pd.DataFrame, name: str) -> bool:
    tried = tuning[LR][tuning["condition"] == name].dropna()
    chosen = runs[LR][runs["condition"] == name].dropna()
    if tried.nunique() < 2:
        return False
    return bool((chosen <= tried.min()).any() or (chosen >= tried.max()).any())


def _of_pairing(paired: Paired) -> Iterator[str]:
    for key, values in paired.averaged.items():
        yield (
            f"averaged over {key}={','.join(values[:_LISTED])}"
            f"{',...' if len(values) > _LISTED else ''}; look at one: --where {key}={values[0]}"
        )
    if paired.factor != [ACTIVATION] or "parameters" not in paired.runs:
        return
    counts = paired.runs.groupby("condition")["parameters"].first().dropna()
    if counts.nunique() > 1 and not paired.averaged:
        usual = counts.mode().iloc[0]
        others = [str(name) for name in counts.index[counts != usual]]
        yield (
            f"{_and(others)}: another number of parameters; with other widths only data, split and "
            "batches are paired, not initial weights: more seeds make up for it"
        )


def _of_scores(paired: Paired, table: pd.DataFrame) -> Iterator[str]:
    diverged = table[table["diverged"] > 0]
    if len(diverged):
        each = [f"{row.diverged} of {row.n} of {row.condition}" for row in diverged.itertuples()]
        yield (
            f"runs diverged ({', '.join(each[:_LISTED])}) and count as worst; try a smaller "
            "optimizer.lr or trainer.gradient_clip_val=1"
        )
    t = (table["low"] > 0) | (table["high"] < 0)
    bootstrap = (table["bootstrap_low"] > 0) | (table["bootstrap_high"] < 0)
    skewed = table[(t != bootstrap) & np.isfinite(table["low"])]
    if len(skewed):
        yield (
            f"skewed differences ({', '.join(skewed['condition'][:_LISTED])}): the bootstrap-t "
            f"interval disagrees with Student's about zero; more seeds settle it: {_MORE_SEEDS}"
        )
