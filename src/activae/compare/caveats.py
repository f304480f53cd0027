"""What weakens an answer, each with what would mend it.

In: paired scores and the table of the answer. Out: sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from activae.compare import statistics
from activae.compare.collect import ACTIVATION
from activae.compare.commands import seeds_were_added, tuning_each, with_seeds
from activae.compare.metrics import OF_SAMPLES, is_of_samplers
from activae.compare.pairing import LR, Paired, enumerated
from activae.compare.race import record
from activae.compare.statistics import ALPHA
from activae.config.wording import counted

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 4  # so many missing runs are named in a caveat
_ENOUGH = 12  # seeds
_MORE_SEEDS = f"run 'seed=range({_ENOUGH})'"
_SPLIT_SEED = "data.split_seed"
_BUDGET = ("trainer.max_epochs", "trainer.max_steps", "trainer.early_stopping_patience")


def caveats(paired: Paired, table: pd.DataFrame) -> Iterator[str]:
    """What weakens the answer, each with what would mend it."""
    if record.of_a_race(paired.runs["path"]):
        told = record.told_of(paired.runs["path"], paired.bare)
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
    n = statistics.pairs_of_seeds(scores, statistics.ranking(scores)[0])
    smallest = statistics.smallest_p(n)
    raced = record.of_a_race(paired.runs["path"])
    if smallest > ALPHA:
        mend = "" if raced else f": {_more_seeds(paired)}"
        yield f"{counted(n, 'paired seed')} can reach no p below {smallest:.2g}{mend}"
    missing = [
        f"{condition} lacks seed {seed}"
        for row, seed in enumerate(paired.seeds)
        for column, condition in enumerate(paired.conditions)
        if np.isnan(scores[row, column])
    ]
    if missing and n and not raced:
        more = len(missing) - _LISTED
        end = f" and {more} more" if more > 0 else ""
        yield (
            f"runs are missing ({', '.join(missing[:_LISTED])}{end}): two conditions are compared "
            "by the seeds that both have; start the sweep again, it trains what it lacks"
        )
    if seeds_were_added(paired.runs["path"]) and not raced:
        yield (
            "seeds were added after a launch: p and intervals do not allow for looks in between; "
            "fix the number beforehand, or use experiment=race, which allows for them"
        )
    if _SPLIT_SEED in paired.runs and len(paired.seeds) > 1:
        splits = paired.runs[_SPLIT_SEED].nunique()
        if splits == 1:
            yield (
                "one split for all seeds: the intervals leave out what another split would change: "
                "run with 'data.split_seed=${seed}'"
            )


def _more_seeds(paired: Paired) -> str:
    """How to get twelve, and those that are there."""
    known = paired.seeds
    if not all(isinstance(seed, (int, np.integer)) for seed in known):
        return _MORE_SEEDS
    wanted = sorted({*range(_ENOUGH), *map(int, known)})
    command = with_seeds(paired.runs["path"], wanted, paired.metric)
    return f"run {command}" if command else _MORE_SEEDS


def _of_metric(paired: Paired) -> Iterator[str]:
    if paired.metric.startswith("val/"):
        yield (
            f"{paired.metric} chose each run's best checkpoint, and is too good by that; compare "
            "on test: run with score.test=true, or choose such runs: --where score.test=true"
        )
    elif paired.metric.startswith("train/"):
        yield f"{paired.metric} says nothing about new data: compare by --metric test/SE"
    if is_of_samplers(paired.factor) and OF_SAMPLES.split("/")[0] not in paired.metric:
        yield (
            f"the runs differ in what draws new samples alone, which changes no {paired.metric}: "
            f"run each with score.samples=true, and compare by --metric {OF_SAMPLES}"
        )


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
        known = set(paired.tuning["condition"])
        untuned = [name for name in paired.conditions if name not in known]
        if untuned:
            yield (
                f"the lr of {enumerated(untuned)} was not tuned, that of the others was: tune "
                "theirs too, or leave them out"
            )
        at_edge = [name for name in paired.conditions if _is_at_edge(paired.tuning, runs, name)]
        if at_edge:
            yield (
                f"the best lr of {enumerated(at_edge)} lies at the edge of those tried: a better "
                "one may lie beyond; tune with a larger hydra.sweeper.limit"
            )
    elif LR in paired.along:
        yield (
            f"{LR} differs from one {paired.factor[0]} to another, and the runs that tuned it are "
            "not here, or tuning has not ended: start the sweep again, or name their folder too"
        )
    elif paired.factor == [ACTIVATION] and runs[LR].nunique() == 1:
        command = tuning_each(runs["path"])
        how = f": {command}" if command else " by experiment=compare_activations"
        yield f"lr {runs[LR].iloc[0]:g} for all, tuned for none of them; tune it for each{how}"


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
            f"{enumerated(others)}: another number of parameters; with other widths only data, "
            "split and batches are paired, not initial weights: more seeds make up for it"
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
