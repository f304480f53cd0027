"""From the table of runs to paired scores: what is compared, and which runs belong together.

In: a table of runs. Out: scores [seeds, conditions], lower is better, and what had to be left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from activae.compare.collect import ACTIVATION, DIVERGED, DONE, UNFINISHED, Runs
from activae.compare.metrics import chosen, sign_of
from activae.compare.statistics import Array
from activae.config.identity import matters_to_condition
from activae.config.names import short_names
from activae.config.program import training
from activae.config.wording import counted
from activae.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SEED = "seed"
_SPLIT = "data.split_seed"
_HALVES = ("encoder.activation", "decoder.activation")
LR = "optimizer.lr"
_SEES_TEST = "score.test"


@dataclass
class Paired:
    """Scores [seeds, conditions], lower is better: inf diverged, NaN is missing.

    sign: -1 where the metric's own values are the scores' negatives. metric: where a figure is best
    at a number, its distance from there, as |samples/one_nn - 0.5|. runs: those compared, with
    their condition in the column `condition`. averaged: keys whose settings were averaged over
    within each seed, with their values. bare: each condition by its values alone, as a race names
    it: relu (dim 2) -> relu, 2. along: keys that differ between conditions along with the
    factor. left_out: sentences about runs that are not compared. tuning: those that never saw the
    test split, beside others that did: they chose what the others were run with.
    """

    factor: list[str]
    metric: str
    sign: int
    conditions: list[str]
    seeds: list[Any]
    scores: Array
    runs: pd.DataFrame
    averaged: dict[str, list[Any]] = field(default_factory=dict)
    bare: dict[str, str] = field(default_factory=dict)
    along: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    tuning: pd.DataFrame | None = None


def pair(
    runs: Runs, by: Sequence[str] = (), metric: str | None = None, where: Sequence[str] = ()
) -> Paired:
    """Find out what varies, and pair by seed and every other key that is equal.

    The seed is the replicate. Where keys beside the factor vary (several data sets, say), a seed's
    score is the mean over their settings, so that they do not pass for more seeds than there are.
    Raises UserError where there is nothing to compare, or more than one way to.
    """
    table = _selected(runs, where)
    ended = table[table["status"].isin([DONE, DIVERGED])]
    left_out = [
        f"{count} {status} {_runs_are(count)} left out"
        + ("; start the sweep again to finish them" if status == UNFINISHED else "")
        for status, count in table["status"].value_counts().items()
        if status not in (DONE, DIVERGED)
    ]
    if ended.empty:
        raise UserError(
            f"none of {counted(len(table), 'run')} has ended: there is nothing to compare yet"
        )
    tunes = _tunes(ended, where)
    tuning, ended = ended[tunes], ended[~tunes]
    replaced = _replaced(tuning, ended, runs.keys)
    if count := sum(replaced):
        ended = ended[[not each for each in replaced]]
        left_out.append(f"{count} {_runs_are(count)} left out, of another {LR} than the one tuned")
    varying = _varying(ended, runs.keys)
    factor = _factor(ended, varying, by, runs.keys)
    metric, ended = chosen(ended, metric, factor, runs.keys)
    ended = ended.assign(condition=_conditions(ended, factor))
    others = [key for key in varying if key not in factor and not _is_part(key, factor)]
    # A rate that was tuned for each condition, in each setting of other keys, belongs to it.
    along = [
        key
        for key in others
        if _determines(ended, "condition", key) or (key == LR and not tuning.empty)
    ]
    blocks = [key for key in others if key not in along]
    blocks = [key for key in blocks if not _follows_another(ended, key, blocks)]
    paired = Paired(factor, metric, sign_of(metric), [], [], np.empty((0, 0)), ended)
    paired.along, paired.left_out = along, left_out
    _fill(paired, blocks)
    if not tuning.empty:
        paired.tuning = tuning.assign(condition=_conditions(tuning, factor))
    return paired


def enumerated(names: Sequence[str]) -> str:
    """A, B and C."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _runs_are(count: int) -> str:
    return "run is" if count == 1 else "runs are"


def _selected(runs: Runs, where: Sequence[str]) -> pd.DataFrame:
    """The runs with one of the values wanted of each key.

    Raises UserError for a value that no run has, and where none has all that is wanted.
    """
    table = runs.table
    wanted: dict[str, list[str]] = {}
    for condition in where:
        key, equals, values = condition.partition("=")
        if not equals:
            raise UserError(f"--where {condition}: must be KEY=VALUE")
        _known(key, runs.keys, "--where")
        whole = [values] if _having(table, key, values).any() else _listed_values(values)
        wanted[key] = [*wanted.get(key, ()), *whole]
    for key, choice in wanted.items():
        columns = [_having(table, key, value) for value in choice]
        for value, column in zip(choice, columns, strict=True):
            if not column.any():
                found = ", ".join(dict.fromkeys(map(_said, table[key])))
                raise UserError(f"--where {key}={value}: no run has it; {key} is: {found}")
        table = table[np.logical_or.reduce(columns)]
    return table


def _having(table: pd.DataFrame, key: str, value: str) -> NDArray[np.bool_]:
    return np.array([_same(found, value) for found in table[key]], dtype=bool)


def _listed_values(values: str) -> list[str]:
    """The values of a list, cut at the commas that are in no bracket: a, b(x=1, y=2), [1,2]."""
    return [value.strip() for value in re.split(r",(?![^(\[]*[)\]])", values)]


def _tunes(table: pd.DataFrame, where: Sequence[str]) -> pd.Series[bool]:
    """Which runs kept off the test split, where others did not; none if the user chose by that."""
    kept_off = table[_SEES_TEST].map(str) == "False"
    chosen = any(condition.startswith(f"{_SEES_TEST}=") for condition in where)
    return kept_off & (not chosen and not kept_off.all())


def _replaced(tuning: pd.DataFrame, scored: pd.DataFrame, keys: Sequence[str]) -> list[bool]:
    """Which scored runs have another rate than the best of their condition, that was scored too.

    The best is that with the lowest mean SE/val; a grid that has grown may have moved it.
    """
    if tuning.empty or LR not in scored or "val/SE" not in tuning:
        return [False] * len(scored)
    by = [key for key in _varying(scored, keys) if key != LR]
    se = tuning["val/SE"].fillna(np.inf)  # it diverged
    means = se.groupby([_of_one(tuning, by), tuning[LR]]).mean()
    best = {of: means[of].idxmin() for of in means.index.unique(0)}
    mine = [best.get(of) == lr for of, lr in zip(_of_one(scored, by), scored[LR], strict=True)]
    met = {of for of, is_best in zip(_of_one(scored, by), mine, strict=True) if is_best}
    return [
        of in met and not is_best for of, is_best in zip(_of_one(scored, by), mine, strict=True)
    ]


def _of_one(table: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """For each run its settings of the keys, as text."""
    return _labels(table, by) if by else [""] * len(table)


def _same(found: Any, wanted: str) -> bool:
    if _said(found).casefold() == wanted.strip("'\"").casefold():
        return True
    try:
        return not isinstance(found, bool) and float(found) == float(wanted)
    except (TypeError, ValueError):
        return False


def _known(key: str, keys: Sequence[str], option: str) -> None:
    if key not in keys:
        below = [known for known in keys if known.endswith(f".{key}")]
        near = below or get_close_matches(key, keys, 1, 0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"{option} {key}: the runs have no such config key{hint}")


def _varying(table: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """The keys that make different conditions among the runs, the shortest first."""
    found = [
        key
        for key in keys
        if matters_to_condition(key)
        and table[key].map(str).nunique() > 1
        and not (key == _SPLIT and _determines(table, SEED, key))  # drawn anew with each seed
    ]
    activation = [key for key in found if key == ACTIVATION]
    rest = sorted((key for key in found if key != ACTIVATION), key=lambda key: key.count("."))
    return activation + rest


def _factor(
    table: pd.DataFrame, varying: Sequence[str], by: Sequence[str], keys: Sequence[str]
) -> list[str]:
    """The keys to compare by. Raises UserError where they do not vary or are not clear."""
    for key in by:
        _known(key, keys, "--by")
        if key == SEED:
            raise UserError(
                "--by seed: seeds are what conditions are paired by; choose another key"
            )
        if table[key].map(str).nunique() == 1:
            raise UserError(
                f"--by {key}: is {table[key].iloc[0]} in all runs that have ended; what varies: "
                f"{', '.join(varying) or 'nothing'}"
            )
    if by:
        return list(by)
    if ACTIVATION in varying:
        return [ACTIVATION]
    own = [key for key in varying if not _follows_another(table, key, varying)]
    if not own:
        raise UserError(
            f"{counted(len(table), 'run')} of one condition: there is nothing to compare; run "
            f"another, as {training()} -m activation=relu,gelu 'seed=range(12)'"
        )
    if len(own) > 1:
        raise UserError(f"several keys vary: {', '.join(own)}; choose one: --by {own[0]}")
    return own


def _is_part(key: str, factor: Sequence[str]) -> bool:
    """Whether a key lies below one that is compared."""
    parts = (*factor, *(_HALVES if ACTIVATION in factor else ()))
    return any(key == part or key.startswith(f"{part}.") for part in parts)


def _follows_another(table: pd.DataFrame, key: str, keys: Sequence[str]) -> bool:
    """Whether a key before it, or one that says more, determines it: encoding.dim with data."""
    place = keys.index(key)
    return any(
        _determines(table, other, key)
        and (keys.index(other) < place or not _determines(table, key, other))
        for other in keys
        if other != key
    )


def _determines(table: pd.DataFrame, key: str, other: str) -> bool:
    """Whether runs that agree in a key agree in the other."""
    return bool((table[other].map(str).groupby(table[key].map(str)).nunique() == 1).all())


def _conditions(table: pd.DataFrame, factor: Sequence[str]) -> list[str]:
    """What each run's condition is called: relu; of several keys relu (dim 2)."""
    first, *others = named(table, factor) if len(factor) > 1 else [table[factor[0]].map(str)]
    if not others:
        return list(first)
    told = [", ".join(filter(None, rest)) for rest in zip(*others, strict=True)]
    pairs = zip(first, told, strict=True)
    return [f"{name} ({rest})" if name and rest else name or rest for name, rest in pairs]


def named(table: pd.DataFrame, keys: Sequence[str]) -> list[pd.Series[str]]:
    """Each key's values with its short name: dim 2; without one where the key has no dots.

    Nothing for a run that lacks the key, or has null for it.
    """
    return [
        ((f"{short} " if "." in key else "") + table[key].map(str)).where(table[key].notna(), "")
        for key, short in zip(keys, short_names(keys), strict=True)
    ]


def _labels(table: pd.DataFrame, factor: Sequence[str]) -> list[str]:
    columns = [table[key] for key in factor]
    return [", ".join(map(_said, values)) for values in zip(*columns, strict=True)]


def _said(value: Any) -> str:
    """A cell of the table as `--where` takes it; null also stands for a key that a run lacks."""
    return "null" if value is None or value != value else str(value)


def _fill(paired: Paired, blocks: Sequence[str]) -> None:
    """Set conditions, seeds and scores."""
    cells = _cells(paired, blocks)
    conditions = list(dict.fromkeys(condition for _, _, condition in cells))
    if len(conditions) < 2:
        only = conditions[0] if conditions else "none"
        raise UserError(
            f"{', '.join(paired.factor)}: only {only} has runs that ended: a comparison needs two"
        )
    complete = _complete(paired, cells, conditions, blocks)
    seeds = sorted({seed for seed, block, _ in cells if block in complete})
    scores = np.full((len(seeds), len(conditions)), np.nan)
    run = {(seed, block) for seed, block, _ in cells}
    for row, seed in enumerate(seeds):
        settings = [block for block in complete if (seed, block) in run]
        for column, condition in enumerate(conditions):
            # NaN where it lacks one of the seed's settings: the others are another average.
            found = [cells.get((seed, block, condition), np.nan) for block in settings]
            scores[row, column] = np.mean(found)
    paired.conditions, paired.seeds, paired.scores = conditions, seeds, scores
    bare = zip(paired.runs["condition"], _labels(paired.runs, paired.factor), strict=True)
    paired.bare = {name: values for name, values in bare if name in conditions}
    if blocks:
        paired.averaged = {
            key: list(dict.fromkeys(block[place] for block in complete))
            for place, key in enumerate(blocks)
        }


_Cells = Mapping[tuple[Any, tuple[str, ...], str], float]


def _cells(paired: Paired, blocks: Sequence[str]) -> _Cells:
    """(seed, settings of other keys, condition) -> score."""
    cells: dict[tuple[Any, tuple[str, ...], str], float] = {}
    repeated = without = 0
    for _, run in paired.runs.iterrows():
        key = (run[SEED], tuple(_said(run[block]) for block in blocks), run["condition"])
        score = np.inf if run["status"] == DIVERGED else paired.sign * float(run[paired.metric])
        if np.isnan(score):  # another run of that condition may have it
            without += 1
            cells.setdefault(key, score)
            continue
        repeated += not np.isnan(cells.get(key, np.nan))
        cells[key] = score if np.isnan(cells.get(key, np.nan)) else cells[key]
    if repeated:
        paired.left_out.append(f"{repeated} {_runs_are(repeated)} left out that repeat another")
    if without:
        paired.left_out.append(f"{without} {_runs_are(without)} left out that lack {paired.metric}")
    return cells


def _complete(
    paired: Paired, cells: _Cells, conditions: Sequence[str], blocks: Sequence[str]
) -> list[tuple[str, ...]]:
    """The settings of other keys with which every condition was run."""
    every = list(dict.fromkeys(block for _, block, _ in cells))
    met = {(block, condition) for _, block, condition in cells}
    complete = [block for block in every if all((block, c) in met for c in conditions)]
    if not complete:
        example = f"--where {blocks[0]}={every[0][0]}"
        raise UserError(
            f"no setting of {', '.join(blocks)} was run with every {', '.join(paired.factor)}; "
            f"choose the runs to compare ({example}), or what to compare (--by {blocks[0]})"
        )
    if len(complete) < len(every):
        paired.left_out.append(
            f"{len(every) - len(complete)} of {len(every)} settings of {', '.join(blocks)} are "
            "left out, with which not every condition was run"
        )
    return complete
