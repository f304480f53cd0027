"""Small charts of several conditions: lines with bands, and points. They stand side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from activae.compare.report import svg
from activae.config.wording import clipped_apart

WIDTH, HEIGHT = 440, 280
_TOP, _BOTTOM = 10.0, HEIGHT - 40.0
_LABEL_ROOM, _MOST_ROOM = 92.0, 150.0  # for the names at the lines' ends
_GAP = 13.0  # between labels
_WIDE = 2.5  # the ratio of the largest to the smallest, from which on an axis is logarithmic
_BANDS = 3  # of so many conditions that all of them would hide each other
_FAR = 30  # times the median: a curve that diverges leaves the others no room


@dataclass(frozen=True)
class Series:
    """A condition's line; place: that in the ranking, which gives colour and dashes.

    low, high: the ends of its band at each x, or nothing.
    """

    name: str
    place: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = field(default=())
    high: Sequence[float] = field(default=())
    marks: bool = False


@dataclass(frozen=True)
class Point:
    """A condition as a point; place: that in the ranking."""

    name: str
    place: int
    x: float
    y: float


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    labels: Sequence[str] = (),
) -> str:
    """Lines by x; labels: what the places 0, 1, ... on the x-axis are called, if they are no size.

    The conditions that come first in the ranking have a colour and their name at the line's end.
    """
    ys = _without_far([y for s in series for y in (*s.y, *s.low, *s.high)])
    y_scale = svg.scale_of(ys, _BOTTOM, _TOP, log=log_y)
    left = _left(y_scale)
    room = _room([one.name for one in series if one.place < svg.COLOURS])
    right = WIDTH - room
    xs = [x for s in series for x in s.x]
    x_scale = svg.scale_of(xs, left, right, log=log_x, pad=0.02)
    body = svg.y_axis(y_scale, left, right)
    body += _named_ticks(labels, x_scale) if labels else _x_ticks(x_scale)
    bands = svg.COLOURS if len(series) <= svg.COLOURS else _BANDS
    for one in reversed(series):
        body += _band(one, x_scale, y_scale, bands)
    for one in reversed(series):
        body += _line(one, x_scale, y_scale)
    body += _line_labels(series, y_scale, right, room)
    body += svg.text((left + right) / 2, HEIGHT - 6, x_label, "middle", "title")
    said = f"{y_label} by {x_label}: {', '.join(s.name for s in series[: svg.COLOURS])}"
    return svg.svg(WIDTH, HEIGHT, said, body)


def scatter(points: Sequence[Point], x_label: str, y_label: str, front: Sequence[Point]) -> str:
    """Points by two figures; front: those that no other beats in both, which a line joins."""
    ys = _without_far([p.y for p in points])
    y_scale = svg.scale_of(ys, _BOTTOM, _TOP, log=is_wide(ys), pad=0.1)
    left, right = _left(y_scale), WIDTH - 14.0
    x_scale = svg.scale_of([p.x for p in points], left, right, pad=0.1)
    places = [(p, x_scale(p.x), _held(y_scale, p.y)) for p in points]
    body = svg.y_axis(y_scale, left, right) + _x_ticks(x_scale)
    body += svg.polyline([(x_scale(p.x), _held(y_scale, p.y)) for p in front], "front")
    named = places if len(places) <= 2 * svg.COLOURS else places[: svg.COLOURS]
    body += "".join(_beside(named, right))
    body += "".join(
        svg.mark(x, y, p.place, f"{p.name}: {p.x:.4g}, {p.y:.4g}") for p, x, y in reversed(places)
    )
    body += svg.text((left + right) / 2, HEIGHT - 6, x_label, "middle", "title")
    said = f"{y_label} against {x_label}: {', '.join(p.name for p in points[: svg.COLOURS])}"
    return svg.svg(WIDTH, HEIGHT, said, body)


def figure(title: str, drawn: str) -> str:
    """A chart with its title, as one of several."""
    return f"<figure><h3>{svg.escape(title)}</h3>{drawn}</figure>"


def is_wide(values: Iterable[float]) -> bool:
    """Whether only a logarithmic axis shows all of the values."""
    found = [value for value in values if math.isfinite(value)]
    return bool(found) and min(found) > 0 and max(found) / min(found) > _WIDE


def _without_far(values: Sequence[float]) -> list[float]:
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) <= 0:
        return finite
    limit = _FAR * float(np.median(finite))
    return [value for value in finite if value <= limit]


def _left(scale: svg.Scale) -> float:
    """Room for the numbers of the y-axis."""
    return 12 + svg.LETTER * max(map(len, svg.tick_labels(scale.ticks())), default=1)


def _held(scale: svg.Scale, value: float) -> float:
    """The place of a value, at the edge where it lies outside."""
    return scale(min(max(value, scale.low), scale.high))


def _x_ticks(scale: svg.Scale) -> str:
    return svg.x_axis(scale, _TOP, _BOTTOM, 4)


def _named_ticks(labels: Sequence[str], scale: svg.Scale) -> str:
    room = (scale.end - scale.start) / max(1, len(labels) - 1)
    every = math.ceil(svg.LETTER * max(map(len, labels)) / max(1.0, room))
    return "".join(
        svg.line(scale(index), _TOP, scale(index), _BOTTOM, "grid")
        + svg.text(scale(index), _BOTTOM + 15, label, "middle")
        for index, label in enumerate(labels)
        if index % every == 0
    )


def _places(
    xs: Sequence[float], ys: Sequence[float], x: svg.Scale, y: svg.Scale
) -> list[tuple[float, float]]:
    return [(x(a), _held(y, b)) for a, b in zip(xs, ys, strict=True) if math.isfinite(b)]


def _band(one: Series, x: svg.Scale, y: svg.Scale, most: int) -> str:
    if one.place >= most or not len(one.low):
        return ""
    upper, lower = _places(one.x, one.high, x, y), _places(one.x, one.low, x, y)
    return svg.area(upper, lower, f"band {svg.colour(one.place)}")


def _line(one: Series, x: svg.Scale, y: svg.Scale) -> str:
    places = _places(one.x, one.y, x, y)
    drawn = svg.polyline(places, f"curve {svg.colour(one.place)}")
    if one.marks:
        drawn += "".join(svg.mark(a, b, one.place, one.name) for a, b in places)
    return drawn.replace("/>", f"><title>{svg.escape(one.name)}</title></path>", 1)


def _room(names: Sequence[str]) -> float:
    """For the names at the lines' ends: what the longest needs, within bounds."""
    longest = svg.LETTER * max(map(len, names), default=0)
    return min(_MOST_ROOM, max(_LABEL_ROOM, longest + 14))


def _line_labels(series: Sequence[Series], scale: svg.Scale, right: float, room: float) -> str:
    named = []
    for one in series:
        ends = [y for y in one.y if math.isfinite(y)]
        if one.place < svg.COLOURS and ends:
            named.append((one, _held(scale, ends[-1])))
    wanted = [end + 4 for _, end in named]
    found = svg.spread(wanted, _GAP, _TOP + 8, _BOTTOM + 4)
    names = clipped_apart([one.name for one, _ in named], int((room - 12) / svg.LETTER))
    return "".join(
        svg.line(right + 2, end, right + 9, place - 4, "lead")
        + svg.text(right + 12, place, name, css=f"name {svg.colour(one.place)}")
        for (one, end), name, place in zip(named, names, found, strict=True)
    )


def _beside(places: Sequence[tuple[Point, float, float]], right: float) -> Iterator[str]:
    """The names beside their points, where they cover neither each other nor another point."""
    taken = [(x - 5, x + 5, y) for _, x, y in places]
    for index, (point, x, y) in enumerate(places):
        name = svg.clipped(point.name, 120)
        room = svg.LETTER * len(name)
        others = taken[:index] + taken[index + 1 :]
        for dx, dy in ((8, 0), (-8 - room, 0), (8, -12), (8, 12), (-8 - room, -12), (8, -24)):
            start, end = x + dx, x + dx + room
            is_free = all(abs(y + dy - b) >= _GAP - 2 or end < a or c < start for a, c, b in others)
            if is_free and start > 0 and end < right + 12:
                break
        else:
            continue  # the mark has its name as a tooltip
        taken.append((start, end, y + dy))
        yield svg.text(start, y + dy + 4, name, css=f"name {svg.colour(point.place)}")
