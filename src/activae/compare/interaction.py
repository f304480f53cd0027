"""Does an answer hold everywhere? The conditions in each setting: other data, another width.

A setting is a level of the second factor (`--by activation,encoding.dim`), or one of those that
were averaged over. In: an Answer. Out: scores by setting, and in words whether the ranking holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from activae.compare import ranks, statistics
from activae.compare.answer import Answer
from activae.compare.collect import DIVERGED
from activae.compare.pairing import LR, SEED, named
from activae.compare.statistics import Array

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 3  # settings and conditions, for average ranks to say anything
_MOST = 40  # settings


@dataclass(frozen=True)
class Setting:
    """What the conditions scored in one setting: [seeds, conditions], lower is better."""

    name: str
    scores: Array

    @property
    def means(self) -> Array:
        """[conditions]; inf where a run diverged, NaN where there is none."""
        return statistics.mean_and_sd(self.scores)[0]

    @cached_property
    def leaders(self) -> list[int]:
        """The best and those that cannot be told from it, or all where too few seeds can tell."""
        return statistics.like_the_best(self.scores, statistics.all_pairs(self.scores))


@dataclass(frozen=True)
class Interaction:
    """The conditions `names`, of the key `factor`, in two settings or more."""

    factor: str
    names: list[str]
    settings: list[Setting]

    @cached_property
    def means(self) -> Array:
        """[settings, conditions]; inf where a run diverged, NaN where there is none."""
        return np.array([setting.means for setting in self.settings])

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """[settings]: whether every condition was run in it."""
        return np.array([not np.isnan(row).any() for row in self.means])


def interaction(answer: Answer) -> Interaction | None:
    """What is compared, in the settings it is compared in; None where there is but one."""
    paired = answer.paired
    if len(paired.factor) > 1:
        names, settings = _by_second_factor(answer)
    else:
        names = [str(name) for name in answer.table["condition"]]
        keys = [key for key in paired.averaged if key != LR]
        if not keys or LR in paired.averaged or answer.metric not in paired.runs:
            return None
        settings = list(_averaged_over(answer, keys, names))
    if len(settings) < 2 or len(names) < 2:
        return None
    return Interaction(paired.factor[0], names, settings)


def _by_second_factor(answer: Answer) -> tuple[list[str], list[Setting]]:
    paired = answer.paired
    runs = paired.runs.drop_duplicates("condition").set_index("condition")
    first, *others = paired.factor
    name_of = runs[first].astype(str)
    level_of = _levels(runs, others)
    names = list(dict.fromkeys(name_of[condition] for condition in answer.table["condition"]))
    place = {
        (name_of[condition], level_of[condition]): column
        for column, condition in enumerate(paired.conditions)
    }
    settings = []
    for level in sorted(set(level_of), key=_natural)[:_MOST]:
        columns = [place.get((name, level)) for name in names]
        empty = np.full(len(paired.seeds), np.nan)
        scores = [empty if column is None else paired.scores[:, column] for column in columns]
        settings.append(Setting(level, np.stack(scores, axis=1)))
    return names, settings


def _averaged_over(answer: Answer, keys: list[str], names: list[str]) -> Iterator[Setting]:
    paired = answer.paired
    score = (paired.sign * paired.runs[answer.metric]).where(
        paired.runs["status"] != DIVERGED, np.inf
    )
    levels = _levels(paired.runs, keys)
    runs = paired.runs.assign(score=score, level=levels)
    for level in sorted(set(levels), key=_natural)[:_MOST]:
        cells = runs[runs["level"] == level].groupby([SEED, "condition"])["score"].first()
        scores = cells.unstack("condition").reindex(columns=names)
        yield Setting(level, scores.to_numpy(dtype=np.float64))


def _levels(runs: pd.DataFrame, keys: Sequence[str]) -> pd.Series[str]:
    """What each run's setting is called: digits, dim 16."""
    first, *others = named(runs, keys)
    return sum((", " + part for part in others), first)


def _natural(name: str) -> list[tuple[float, str]]:
    """Sorts numbers by their size: dim 4 before dim 16."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(float(part), "") if index % 2 else (0.0, part) for index, part in enumerate(parts)]


def in_words(found: Interaction) -> str:
    """Whether the ranking holds, in sentences."""
    names, settings, means = found.names, found.settings, found.means
    best = {setting.name: names[int(np.nanargmin(m))] for setting, m in _known(settings, means)}
    if not best:
        return "Every run diverged, in all settings."
    if len(set(best.values())) == 1:
        every = "both" if len(settings) == 2 else f"all {len(settings)}"
        said = f"{next(iter(best.values()))} has the best mean in {every} settings."
    else:
        said = f"The best mean changes: {_grouped(best)}."
    among = [set(setting.leaders) for setting in settings]
    shared = [name for index, name in enumerate(names) if all(index in a for a in among)]
    if all(len(a) == len(names) for a in among):
        said += " But nothing separates them in any setting."
    elif shared == list(dict.fromkeys(best.values())):
        said += " No other is among the best in every setting."
    elif shared:
        said += f" Among the best in every setting: {', '.join(shared)}."
    else:
        said += " No one is among the best in every setting."
    count = int(found.whole.sum())
    if count >= 2 and len(names) >= FEWEST:
        rho = f"{ranks.agreement(means[found.whole]):.2f}".replace("-", "−")
        two = "The two rankings correlate" if count == 2 else "On average, two rankings correlate"
        said += f" {two} by {rho} (1: the same, 0: unrelated)."
    return said


def _known(settings: Sequence[Setting], means: Array) -> Iterator[tuple[Setting, Array]]:
    return ((s, m) for s, m in zip(settings, means, strict=True) if np.isfinite(m).any())


def _grouped(best: dict[str, str]) -> str:
    """gelu (4, 8), relu (16)."""
    groups: dict[str, list[str]] = {}
    for level, name in best.items():
        groups.setdefault(name, []).append(level)
    return ", ".join(f"{name} ({'; '.join(levels)})" for name, levels in groups.items())
