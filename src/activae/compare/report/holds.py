"""Does the answer hold everywhere? The section on it: means by setting, and average ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

import numpy as np

from activae.compare import ranks
from activae.compare.answer import Answer
from activae.compare.interaction import FEWEST, Interaction, in_words, interaction
from activae.compare.report import svg
from activae.compare.report.intervals import NARROW, WIDE, plain
from activae.compare.report.markup import Cell, Section, note, table
from activae.compare.statistics import ALPHA, Array

_RANK_ROOM = 60.0  # for a rank beside its name


def holds(answer: Answer) -> Iterator[Section]:
    """The means in each setting, in words whether the ranking holds, and average ranks."""
    found = interaction(answer)
    if found is None:
        return
    body = f"<p>{escape(in_words(found))}</p>"
    body += _heatmap(found, answer.paired.sign)
    body += note(
        f"Mean {answer.metric}; the stronger the colour, the further from the best of its column "
        "(each column has its own scale). ●: cannot be told from the best of the column "
        f"(p > {ALPHA:g}, adjusted for the column's pairs)."
    )
    if found.whole.sum() >= FEWEST and len(found.names) >= FEWEST:
        body += _average_ranks(found.names, found.means[found.whole])
    yield Section("holds", "Does it hold everywhere", body)


def _heatmap(found: Interaction, sign: int) -> str:
    rows = []
    for row, name in enumerate(found.names):
        cells = [Cell(escape(name), name)]
        for setting, column in zip(found.settings, found.means, strict=True):
            value = column[row]
            said = _digits(column)(sign * value)
            cells.append(_cell(value, said, _shade(value, column), row in setting.leaders))
        rows.append(cells)
    heads = [found.factor, *(setting.name for setting in found.settings)]
    return table(heads, rows, [], "means by setting")


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
