"""The answer: a verdict sentence, a row for each condition, and what weakens them with its mend.

In: paired scores. Out: an Answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from activae.compare import statistics
from activae.compare.caveats import caveats
from activae.compare.collect import DIVERGED, Runs
from activae.compare.commands import after_a_search, is_search, not_begun
from activae.compare.pairing import LR, Paired, enumerated, pair
from activae.compare.planning import plan
from activae.compare.race import record
from activae.compare.statistics import ALPHA, Array
from activae.config.wording import counted
from activae.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_NAMED = 3  # so many worse conditions are named in the verdict


@dataclass
class Answer:
    """What the runs say.

    table: a row for each condition, the best first, in the metric's own units: condition, n
    (seeds), diverged, mean, sd, iqm, difference to `reference` with its Student-t interval (low,
    high) and bootstrap-t interval (bootstrap_low, bootstrap_high), relative difference,
    p_better (probability that a run of it is better than one of the reference) and p: adjusted
    for all pairs, or for all comparisons with the baseline where one was asked for. NaN where there
    is nothing to compare: no seed in common, or both diverged in all of them.
    best: those that cannot be told from the best, the best first, without any that always diverged.
    paired: what it is read from.
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

    by: the keys to compare by; metric: test/SE unless runs lack it, then val/SE, and of runs that
    differ in their sampler alone samples/frechet; baseline: the condition that others are compared
    with (default: the best); where: KEY=VALUE or KEY=A,B, of which any holds for one key, and all
    for several. Raises UserError where runs cannot be compared so; the message says what can.
    """
    import pandas as pd

    homes = {Path(path).parent for path in runs.table["path"]}
    searches = {home for home in homes if is_search(home)}
    waiting = [said for home in sorted(homes) for said in not_begun(home)]
    try:
        paired = pair(runs, by, metric, where)
    except UserError as error:
        if len(searches) != 1:
            raise UserError("\n".join([str(error), *waiting])) from error
        asked = f"{error}\n" if by or metric or where else ""
        raise UserError(f"{asked}{told_of_search(searches.pop())}") from error
    order = statistics.ranking(paired.scores)
    names = paired.conditions
    reference = order[0] if baseline is None else _index(paired, baseline)
    pairs = statistics.all_pairs(paired.scores)
    ever = ~statistics.always_diverged(paired.scores)  # one that never has a score is no choice
    leaders = [i for i in statistics.like_the_best(paired.scores, pairs) if ever[i]]
    p = pairs[reference]
    if baseline is not None:
        p = statistics.against_baseline(paired.scores, reference)
    table = pd.DataFrame(_columns(paired, reference, p)).iloc[order].reset_index(drop=True)
    verdict, best = _verdict(paired, pairs, leaders), [names[index] for index in leaders]
    race = record.told_of(paired.runs["path"], paired.bare)
    if race is not None and paired.metric == record.METRIC:
        verdict, best = race.verdict, [name for name in race.best if ever[names.index(name)]]
    return Answer(
        factor=", ".join(paired.factor),
        metric=paired.metric,
        reference=names[reference],
        verdict=verdict,
        best=best,
        table=table,
        caveats=[*waiting, *map(told_of_search, searches), *caveats(paired, table), *runs.damaged],
        plan=[] if race is not None else list(plan(paired, pairs, leaders)),
        paired=paired,
    )


def told_of_search(home: Path) -> str:
    """Why the trials of a search are no comparison, and what to run for one."""
    said = (
        f"{home} holds the trials of a search: what they tried was chosen by the scores before, "
        "and not everything as often; compare with fresh seeds"
    )
    command = after_a_search(home)
    return f"{said}: {command}" if command else said


def _index(paired: Paired, wanted: str) -> int:
    """The place of a condition, by its name or by its values alone: relu (dim 2), relu,2."""
    for index, name in enumerate(paired.conditions):
        if _loosely(wanted) in (_loosely(name), _loosely(paired.bare[name])):
            return index
    known = "; ".join(paired.conditions)
    raise UserError(f"--baseline {wanted}: is not among those compared: {known}")


def _loosely(name: str) -> str:
    return name.casefold().replace(", ", ",")


def _columns(paired: Paired, reference: int, p: Array) -> dict[str, object]:
    scores, sign = paired.scores, paired.sign
    d = statistics.measured_differences(scores, reference)
    compared = ~np.isnan(d).all(0)
    better = statistics.probability_of_improvement(scores, reference)
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
        "difference": sign * statistics.mean_of_rows(d),
        "low": low,
        "high": high,
        "bootstrap_low": bootstrap_low,
        "bootstrap_high": bootstrap_high,
        "relative": sign * statistics.relative_difference(scores, reference),
        "p_better": np.where(compared, better, np.nan),
        "p": np.where(compared, p, np.nan),
    }


def _in_units(interval: tuple[Array, Array], sign: int) -> tuple[Array, Array]:
    low, high = interval
    return (low, high) if sign > 0 else (-high, -low)


def _verdict(paired: Paired, pairs: Array, leaders: Sequence[int]) -> str:
    """The answer in a sentence."""
    names, scores = paired.conditions, paired.scores
    if not leaders:
        return f"no clear winner: {_who_diverged(paired)}; {_tamer(paired)}"
    best = leaders[0]
    n = statistics.pairs_of_seeds(scores, best)
    if n == 0:
        return f"no clear winner: no other condition was run with the seeds of {names[best]}"
    if statistics.smallest_p(n) > ALPHA:
        return (
            f"no clear winner: {counted(n, 'seed')} can show none; "
            f"{names[best]} has the best mean so far"
        )
    worse = [index for index in statistics.ranking(scores) if index not in leaders]
    uneven = [index for index in leaders[1:] if _unevenly(scores, index, best, worse)]
    level = [index for index in leaders if index not in uneven]
    others = level[1:]
    told = [names[index] for index in level]
    separated = _above(min((pairs[best, index] for index in others), default=1))
    if not worse:
        return f"no clear winner: nothing separates {enumerated(told)} (p {separated})"
    sentence = f"{told[0]} is best"
    if others:
        each = pairs[np.ix_(level, level)]
        among = "them" if (each > ALPHA).all() else f"{enumerated(told[1:])} from {told[0]}"
        sentence = f"{enumerated(told)} are best: nothing separates {among} (p {separated})"
    parts = [_unsurely_worse(paired, index, best, pairs[best, index]) for index in uneven]
    return "; ".join([sentence, *parts, _worse(paired, best, worse)])


def _unevenly(scores: Array, index: int, best: int, worse: Sequence[int]) -> bool:
    """Whether it is worse in every common seed, and by more than one that is surely worse."""
    d = statistics.differences(scores, best)
    shared = d[~np.isnan(d[:, index]), index]
    sure = [np.nanmean(d[:, other]) for other in worse]
    return bool(sure) and bool((shared > 0).all()) and bool(shared.mean() > min(sure))


def _unsurely_worse(paired: Paired, index: int, best: int, p: float) -> str:
    """Of one that no seed favours and whose mean difference is not sure all the same."""
    n = statistics.pairs_of_seeds(paired.scores[:, [best, index]], 0)
    return (
        f"{paired.conditions[index]} is worse in all {counted(n, 'seed')}, by amounts so uneven "
        f"that its mean is not surely so (p {_above(p)})"
    )


def _who_diverged(paired: Paired) -> str:
    """Every run, or as many as leave no condition a mean over what it is averaged over."""
    diverged, runs = int((paired.runs["status"] == DIVERGED).sum()), len(paired.runs)
    if diverged == runs or not paired.averaged:
        return "every run diverged"
    return (
        f"{diverged} of {counted(runs, 'run')} diverged, some of every condition and seed; look at "
        f"the others by --where, for the means are over {enumerated(list(paired.averaged))}"
    )


def _tamer(paired: Paired) -> str:
    """What to do where nothing has a score."""
    clip = "trainer.gradient_clip_val=1"
    if paired.tuning is not None or LR not in paired.runs:
        return f"tune from a smaller hydra.sweeper.start, or with {clip}"
    least = f"{paired.runs[LR].min():g}"
    return f"launch another sweep with {LR} below {least}, or with {clip}"


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


def _above(p: float) -> str:
    """A round number that p is above: > .4."""
    if p >= 1:
        return "= 1"
    tenths = math.floor(10 * p)
    return f"> .{tenths}" if tenths else f"> .{math.floor(100 * p):02d}"
