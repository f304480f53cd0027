"""Does the answer hold everywhere? The conditions in each setting: other data, another width.

A setting is a level of the second factor (`--by activation,encoding.dim`), or one of those that
were averaged over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from activae.compare import ranks, statistics
from activae.compare.answer import Answer
from activae.compare.collect import DIVERGED
from activae.compare.pairing import LR, SEED
from activae.compare.report import svg
from activae.compare.report.intervals import NARROW, WIDE, plain
from activae.compare.report.markup import Cell, Section, note, table
from activae.compare.statistics import ALPHA, Array

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 3  # settings and conditions, for average ranks to say anything
_MOST = 40  # settings in the table
_RANK_ROOM = 60.0  # for a rank beside its name


@dataclass(frozen=True)
class _Setting:
    """What the conditions scored in one setting: [seeds, conditions], lower is better."""

    name: str
    scores: Array

    @property
    def means(self) -> Array:
        """[conditions]; inf where a run diverged, NaN where there is none."""
        return statistics.mean_and_sd(self.scores)[0]

    @property
    def leaders(self) -> list[int]:
        """The best and those that cannot be told from it, or all where too few seeds can tell."""
        return statistics.like_the_best(self.scores, statistics.all_pairs(self.scores))


def holds(answer: Answer) -> Iterator[Section]:
    """The means in each setting, in words whether the ranking holds, and average ranks."""
    factor, names, settings = _settings(answer)
    if len(settings) < 2 or len(names) < 2:
        return
    means = np.array([setting.means for setting in settings])
    whole = ~np.isnan(means).any(1)
    body = f"<p>{escape(_words(names, settings, means, whole))}</p>"
    body += _heatmap(answer, factor, names, settings, means)
    body += note(
        f"Mean {answer.metric}; the stronger the colour, the further from the best of its column "
        "(each column has its own scale). ●: cannot be told from the best of the column "
        f"(p > {ALPHA:g}, adjusted for the column's pairs)."
    )
    if whole.sum() >= _FEWEST and len(names) >= _FEWEST:
        body += _average_ranks(names, means[whole])
    yield Section("holds", "Does it hold everywhere", body)


def _settings(answer: Answer) -> tuple[str, list[str], list[_Setting]]:
    """What is compared, its names, and the settings it is compared in."""
    paired = answer.paired
    if len(paired.factor) > 1:
        names, settings = _by_second_factor(answer)
        return paired.factor[0], names, settings
    names = [str(name) for name in answer.table["condition"]]
    keys = [key for key in paired.averaged if key != LR]
    if not keys or LR in paired.averaged or answer.metric not in paired.runs:
        return answer.factor, names, []
    return answer.factor, names, list(_averaged_over(answer, keys, names))


def _by_second_factor(answer: Answer) -> tuple[list[str], list[_Setting]]:
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
        settings.append(_Setting(level, np.stack(scores, axis=1)))
    return names, settings


def _averaged_over(answer: Answer, keys: list[str], names: list[str]) -> Iterator[_Setting]:
    paired = answer.paired
    score = (paired.sign * paired.runs[answer.metric]).where(
        paired.runs["status"] != DIVERGED, np.inf
    )
    levels = _levels(paired.runs, keys)
    runs = paired.runs.assign(score=score, level=levels)
    for level in sorted(set(levels), key=_natural)[:_MOST]:
        cells = runs[runs["level"] == level].groupby([SEED, "condition"])["score"].first()
        scores = cells.unstack("condition").reindex(columns=names)
        yield _Setting(level, scores.to_numpy(dtype=np.float64))


def _levels(runs: pd.DataFrame, keys: Sequence[str]) -> pd.Series[str]:
    """What each run's setting is called: digits, dim 16."""
    named = []
    for key in keys:
        last = f"{key.rpartition('.')[2]} " if "." in key else ""
        named.append(last + runs[key].map(str))
    return sum((", " + part for part in named[1:]), named[0])


def _natural(name: str) -> list[tuple[float, str]]:
    """Sorts numbers by their size: dim 4 before dim 16."""
    parts = re.split(r"(\d+(?:\.\d+)?)", name)
    return [(float(part), "") if index % 2 else (0.0, part) for index, part in enumerate(parts)]


def _words(names: Sequence[str], settings: Sequence[_Setting], means: Array, whole: Array) -> str:
    """Whether the ranking holds."""
    best = {setting.name: names[int(np.nanargmin(m))] for setting, m in _known(settings, means)}
    if len(set(best.values())) == 1:
        said = f"{next(iter(best.values()))} has the best mean in all {len(settings)} settings."
    else:
        said = f"The best mean changes: {_grouped(best)}."
    among = [set(setting.leaders) for setting in settings]
    shared = [name for index, name in enumerate(names) if all(index in a for a in among)]
    if all(len(a) == len(names) for a in among):
        said += " But nothing separates them in any setting."
    elif shared:
        said += f" Among the best in every setting: {', '.join(shared)}."
    else:
        said += " No one is among the best in every setting."
    if whole.sum() >= 2 and len(names) >= _FEWEST:
        rho = f"{ranks.agreement(means[whole]):.2f}".replace("-", "−")
        said += (
            f" Between two settings, the rank correlation is {rho} on average (1: the same "
            "ranking, 0: unrelated)."
        )
    return said


def _known(settings: Sequence[_Setting], means: Array) -> Iterator[tuple[_Setting, Array]]:
    return ((s, m) for s, m in zip(settings, means, strict=True) if not np.isnan(m).all())


def _grouped(best: dict[str, str]) -> str:
    """gelu (4, 8), relu (16)."""
    groups: dict[str, list[str]] = {}
    for level, name in best.items():
        groups.setdefault(name, []).append(level)
    return ", ".join(f"{name} ({'; '.join(levels)})" for name, levels in groups.items())


def _heatmap(
    answer: Answer, factor: str, names: Sequence[str], settings: Sequence[_Setting], means: Array
) -> str:
    sign = answer.paired.sign
    leaders = [setting.leaders for setting in settings]
    rows = []
    for row, name in enumerate(names):
        cells = [Cell(escape(name), name)]
        for column in range(len(settings)):
            value = means[column, row]
            is_leader = row in leaders[column]
            said = _digits(means[column])(sign * value)
            cells.append(_cell(value, said, _shade(value, means[column]), is_leader))
        rows.append(cells)
    return table([factor, *(s.name for s in settings)], rows, [], "means by setting")


def _digits(column: Array) -> Callable[[float], str]:
    """A way to write all numbers of a column: 4 digits of the largest."""
    largest = max(map(abs, column[np.isfinite(column)]), default=1.0) or 1.0
    decimals = max(0, 3 - math.floor(math.log10(largest)))
    return lambda value: f"{value:.{decimals}f}" if decimals <= 6 else f"{value:.3g}"


def _cell(value: float, said: str, shade: float, is_leader: bool) -> Cell:
    if math.isnan(value):
        return Cell("–")
    shown = "diverged" if math.isinf(value) else plain(said)
    mark = " ●" if is_leader else ""
    return Cell(shown + mark, float(said), f"background:rgba(var(--heat),{shade:.2f})")


def _shade(value: float, column: Array) -> float:
    """0 for the best of the column, at most .45, by ranks of size: one outlier hides no other."""
    known = column[np.isfinite(column)]
    if not math.isfinite(value) or not len(known):
        return 0.45
    span = float(np.median(known) - known.min()) * 2 or float(np.ptp(known)) or 1.0
    return 0.45 * min(1.0, float(value - known.min()) / span)


def _average_ranks(names: Sequence[str], means: Array) -> str:
    found = ranks.average_ranks(means)
    difference = ranks.critical_difference(*means.shape)
    p = ranks.friedman_p(means)
    diagrams = "".join(_diagram(names, found, difference, width) for width in (WIDE, NARROW))
    told = "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".")
    return f"<h3>Average ranks over {len(means)} settings</h3><figure>{diagrams}</figure>" + note(
        f"1 is the best. A bar joins those that Nemenyi's test cannot separate at {ALPHA:g}: "
        f"their ranks differ by less than the critical difference, {difference:.2f}. "
        f"Friedman's test of no difference at all: p {told}. Settings are the replicates "
        "here, not seeds: few of them show only large differences (Demšar 2006)."
    )


def _diagram(names: Sequence[str], found: Array, difference: float, width: int) -> str:
    """The critical-difference diagram: ranks on an axis, names on both sides, bars below it."""
    order = np.argsort(found, kind="stable")
    ordered = found[order]
    room = min(width * 0.3, svg.LETTER * max(map(len, names)) + _RANK_ROOM)
    scale = svg.Scale(1, len(names), room, width - room)
    groups = ranks.cliques(ordered, difference)
    axis = 40.0
    body = svg.line(scale.start, axis, scale.end, axis, "zero")
    for tick in scale.ticks(6 if width == WIDE else 4):
        if tick == round(tick):
            body += svg.line(scale(tick), axis - 5, scale(tick), axis, "zero")
            body += svg.text(scale(tick), axis - 9, f"{tick:g}", "middle")
    for index, (first, last) in enumerate(groups):
        y = axis + 9 + 8 * index
        body += svg.line(scale(ordered[first]) - 3, y, scale(ordered[last]) + 3, y, "bar")
    top = axis + 18 + 8 * len(groups)
    half = (len(names) + 1) // 2
    for place, index in enumerate(order):
        is_left = place < half
        y = top + 18 * (place if is_left else len(names) - 1 - place) + 4
        x, edge = scale(found[index]), scale.start - 8 if is_left else scale.end + 8
        body += svg.polyline([(x, axis), (x, y), (edge, y)], "lead")
        said = f"{svg.clipped(names[index], room - _RANK_ROOM)} {found[index]:.2f}"
        body += svg.text(edge + (-4 if is_left else 4), y + 4, said, "end" if is_left else "start")
    limit = scale(1 + difference)
    if difference < len(names) - 1:
        body += svg.line(scale(1), 10, limit, 10, "interval") + svg.text(
            limit + 6, 14, "critical difference"
        )
    label = "average ranks: " + ", ".join(f"{names[i]} {found[i]:.2f}" for i in order)
    return svg.svg(width, top + 18 * half + 6, label, body, "wide" if width == WIDE else "narrow")
