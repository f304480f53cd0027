"""The picture of an answer: each condition's paired difference, its interval, and every seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from activae.compare import statistics
from activae.compare.answer import Answer
from activae.compare.report import svg
from activae.compare.statistics import Array
from activae.compare.terminal import divergence, fixed

WIDE, NARROW = 880, 368
_FAR = 4  # times the median extent: a condition beyond leaves the others no room
_MOST_DOTS = 20_000
OFF_SCALE = "off the scale"


@dataclass(frozen=True)
class Row:
    """A condition: its differences by seed and their interval, in the metric's own units."""

    name: str
    is_best: bool
    is_reference: bool
    seeds: Array
    mean: float
    low: float
    high: float
    said: str

    @property
    def extent(self) -> float:
        """How far it reaches from zero."""
        ends = [*self.seeds, self.low, self.high, self.mean]
        return max((abs(end) for end in ends if math.isfinite(end)), default=0.0)


def intervals(answer: Answer, width: int = WIDE) -> str:
    """The figure, the best on top, as wide as asked for: names stand above where it is narrow."""
    rows = rows_of(answer)
    narrow = width < 600
    name_room = 0.0
    if not narrow:
        name_room = min(230.0, svg.BOLD * max(len(row.name) for row in rows) + 10)
    height = 46 if narrow else 34
    left, right = name_room + 6, width - (10.0 if narrow else 190.0)
    bottom = 26.0 + height * len(rows)
    scale = svg.scale_of(reach(rows), left, right, pad=0.03)
    body = svg.x_axis(scale, 20, bottom, 4 if narrow else 6)
    body += svg.line(scale(0), 20, scale(0), bottom, "zero")
    for index, row in enumerate(rows):
        y = 26 + height * index + (28 if narrow else 15)
        if narrow:
            body += svg.text(2, y - 12, svg.clipped(row.name, 180, svg.BOLD), css=_weight(row))
            body += svg.text(width - 2, y - 12, row.said, "end", "quiet")
        else:
            body += svg.text(
                name_room, y + 4, svg.clipped(row.name, name_room, svg.BOLD), "end", _weight(row)
            )
            body += svg.text(width - 2, y + 4, row.said, "end", "quiet")
        body += _marks(row, scale, y)
    unit = f"difference in {answer.metric} to {answer.reference}"
    centre = (left + right) / 2
    said = svg.clipped(unit, 2 * min(centre, width - centre))
    body += svg.text(centre, bottom + 36, said, "middle", "title")
    worse, better = ("end", "start") if answer.paired.sign > 0 else ("start", "end")
    for word, anchor in (("better", better), ("worse", worse)):
        arrow = f"← {word}" if anchor == "start" else f"{word} →"
        body += svg.text(left if anchor == "start" else right, 12, arrow, anchor, "quiet")
    label = f"{unit}: each seed as a dot, the mean and its 95 % interval"
    return svg.svg(width, bottom + 44, label, body, "narrow" if narrow else "wide")


def _weight(row: Row) -> str:
    return "strong" if row.is_best else ""


def rows_of(answer: Answer) -> list[Row]:
    """The conditions, the best first."""
    paired = answer.paired
    place = {name: index for index, name in enumerate(paired.conditions)}
    d = paired.sign * statistics.measured_differences(paired.scores, place[answer.reference])
    every = -(-d.size // _MOST_DOTS)
    table = list(answer.table.itertuples())
    number = fixed(table)
    return [
        Row(
            name=str(row.condition),
            is_best=row.condition in answer.best,
            is_reference=row.condition == answer.reference,
            seeds=d[::every, place[str(row.condition)]],
            mean=float(row.difference),
            low=float(row.low),
            high=float(row.high),
            said=_said(row, number, answer.reference),
        )
        for row in table
    ]


def _said(row: Any, number: Callable[[float], str], reference: str) -> str:
    """The difference in figures."""
    if row.condition == reference:
        return f"{divergence(row) or number(row.mean)} (reference)"
    if row.diverged:
        return divergence(row)
    if math.isinf(row.difference):
        return f"{reference} diverged"
    if math.isnan(row.difference):
        return "no seed in common"
    if not math.isfinite(row.low):
        return signed(number(row.difference))
    return f"{signed(number(row.difference))} [{plain(number(row.low))}, {plain(number(row.high))}]"


def signed(said: str) -> str:
    """A number as read: +0.1, −0.1."""
    return plain(said) if said.startswith("-") else f"+{said}"


def plain(said: str) -> str:
    """A number with a minus in place of a hyphen; a dash where there is none."""
    if said == "-":
        return "–"
    return f"−{said[1:]}" if said.startswith("-") else said


def reach(rows: list[Row]) -> tuple[float, float]:
    """From where to where to draw: zero and all that is not far off.

    One bad condition must not squeeze the others.
    """
    others = [row for row in rows if not row.is_reference and row.extent > 0]
    limit = _FAR * float(np.median([row.extent for row in others])) if others else 1.0
    near = [0.0]
    for row in others:
        if row.extent <= limit:
            near += [end for end in (*row.seeds, row.low, row.high, row.mean) if np.isfinite(end)]
    return min(near), max(near)


def _marks(row: Row, scale: svg.Scale, y: float) -> str:
    css = "best" if row.is_best else "worse"
    seen = [float(d) for d in row.seeds if math.isfinite(d) and scale.holds(float(d))]
    body = "" if row.is_reference else svg.dots(((scale(d), y + 8) for d in seen), css)
    if not math.isfinite(row.mean):
        return body
    if row.is_reference:
        return body + _mean(scale(0), y, css)
    if not scale.holds(row.mean):
        return body + _off_scale(scale, y, row.mean > scale.high, css)
    if math.isfinite(row.low):
        low, high = max(row.low, scale.low), min(row.high, scale.high)
        body += svg.line(scale(low), y, scale(high), y, f"interval {css}")
    return body + _mean(scale(row.mean), y, css)


def _mean(x: float, y: float, css: str) -> str:
    """A disc for those that may be the best, a ring for those that are worse: not colour alone."""
    return f'<circle cx="{svg.short(x)}" cy="{svg.short(y)}" r="4.5" class="mean {css}"/>'


def _off_scale(scale: svg.Scale, y: float, above: bool, css: str) -> str:
    edge, way = (scale.end, -1) if above else (scale.start, 1)
    tip = svg.short(edge)
    tail, head = svg.short(edge + 22 * way), svg.short(edge + 6 * way)
    return (
        f'<path d="M{tail} {svg.short(y)}H{tip}M{head} {svg.short(y - 5)}L{tip} {svg.short(y)}'
        f'L{head} {svg.short(y + 5)}" class="interval {css}"><title>{OFF_SCALE}</title></path>'
    )
