"""Figures as inline SVG, made by hand: scales, axes and marks. Colours come from the page's CSS.

Every text passes through `escape`: names come from the folders of strangers. Lengths are in px.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

LETTER, BOLD = 6.7, 7.7  # the mean width of a letter of 12 px
COLOURS = 7  # of Okabe and Ito that stand out from white; what follows is grey
_DENSE = 0.35  # px: marks that are nearer to each other than this look like one


@dataclass(frozen=True)
class Scale:
    """From values in [low, high] to places in [start, end]."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value, which may lie outside."""
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return self.start + (value - low) / ((high - low) or 1) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether the value lies within."""
        return self.low <= value <= self.high

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values within, about so many."""
        return _decades(self.low, self.high) if self.log else _round(self.low, self.high, wanted)


def _round(low: float, high: float, wanted: int) -> list[float]:
    if not high > low:
        return [low]
    rough = (high - low) / wanted
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * part for part in (1, 2, 2.5, 5, 10) if unit * part >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * index for index in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """As many round values of each decade as there is room for, at least the decades."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks: list[float] = []
    for parts in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1,)):
        ticks = [p * 10.0**d for d in range(first, last + 1) for p in parts]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= 7:
            break
    if len(ticks) < 2:
        return _round(low, high, 4)
    return ticks[:: math.ceil(len(ticks) / 7)]


def scale_of(
    values: Iterable[float], start: float, end: float, *, log: bool = False, pad: float = 0.05
) -> Scale:
    """The scale on which all finite values have room; log only where all of them are positive."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if log and low > 0:
        ratio = max(high / low, 1.2) ** pad
        return Scale(low / ratio, high * ratio, start, end, log=True)
    room = pad * ((high - low) or abs(high) or 1)
    return Scale(low - room, high + room, start, end)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """The ticks in digits that tell them apart, with a minus where they are below zero."""
    return [said.replace("-", "−") for said in _digits(ticks)] if ticks else []


def _digits(ticks: Sequence[float]) -> list[str]:
    gaps = [abs(b - a) for a, b in pairwise(ticks)] or [abs(ticks[0]) or 1]
    decimals = max(0, -math.floor(math.log10(min(gaps)) + 1e-9))
    largest = max(map(abs, ticks))
    if decimals > 4 or largest >= 1e5:
        return [f"{tick:.3g}" for tick in ticks]
    if len({round(gap / min(gaps), 6) for gap in gaps}) > 1:  # of a log scale
        return [f"{tick:g}" for tick in ticks]
    if any(abs(tick * 10**decimals - round(tick * 10**decimals)) > 1e-6 for tick in ticks):
        decimals += 1  # steps of 2.5
    return [f"{0.0 if abs(tick) < 1e-12 else tick:.{decimals}f}" for tick in ticks]


def short(value: float) -> str:
    """A place in px."""
    return f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, said: str, anchor: str = "start", css: str = "") -> str:
    """Words; anchor: start, middle or end."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{short(x)}" y="{short(y)}"{where}{_class(css)}>{escape(said)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<path d="M{short(x1)} {short(y1)}L{short(x2)} {short(y2)}"{_class(css)}/>'


def polyline(points: Sequence[tuple[float, float]], css: str) -> str:
    """A line through the points."""
    return f'<path d="M{_joined(points)}"{_class(css)}/>' if points else ""


def area(
    upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], css: str
) -> str:
    """What lies between two lines."""
    around = [*upper, *reversed(lower)]
    return f'<path d="M{_joined(around)}Z"{_class(css)}/>' if around else ""


def dots(points: Iterable[tuple[float, float]], css: str) -> str:
    """A round dot at each point, as one path: a page may have 20,000. Equal ones are drawn once."""
    places = {(round(x / _DENSE), round(y / _DENSE)): (x, y) for x, y in points}
    d = "".join(f"M{short(x)} {short(y)}h0" for x, y in places.values())
    return f'<path d="{d}" class="dots {css}"/>' if d else ""


_MARKS = (
    "M{l} {y}a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",  # circle
    "M{l} {t}h8v8h-8Z",  # square
    "M{x} {t}l4.6 8h-9.2Z",  # triangle
    "M{x} {T}l5 5l-5 5l-5-5Z",  # diamond
    "M{x} {b}l4.6-8h-9.2Z",  # triangle that hangs
    "M{l} {t}l8 8m0-8l-8 8",  # x
    "M{x} {t}v8m-4-4h8",  # plus
)


def mark(x: float, y: float, place: int, title: str) -> str:
    """The mark of the condition at a place in the ranking: a colour and a shape; grey beyond."""
    shape = _MARKS[place if place < COLOURS else 0]
    d = shape.format(
        x=short(x), y=short(y), l=short(x - 4), t=short(y - 4), b=short(y + 4), T=short(y - 5)
    )
    return f'<path d="{d}" class="mark {colour(place)}"><title>{escape(title)}</title></path>'


def colour(place: int) -> str:
    """The CSS class of the condition at a place in the ranking."""
    return f"c{place}" if place < COLOURS else "c-rest"


def x_axis(scale: Scale, top: float, bottom: float, ticks: int = 5) -> str:
    """Grid lines from top to bottom, with their values below."""
    values = scale.ticks(ticks)
    return "".join(
        line(scale(v), top, scale(v), bottom, "grid") + text(scale(v), bottom + 15, label, "middle")
        for v, label in zip(values, tick_labels(values), strict=True)
    )


def y_axis(scale: Scale, left: float, right: float, ticks: int = 5) -> str:
    """Grid lines from left to right, with their values on the left."""
    values = scale.ticks(ticks)
    return "".join(
        line(left, scale(v), right, scale(v), "grid") + text(left - 6, scale(v) + 4, label, "end")
        for v, label in zip(values, tick_labels(values), strict=True)
    )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, in their order, that keep a gap: for labels beside lines."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    found = [0.0] * len(wanted)
    floor = low
    for index in order:
        found[index] = max(wanted[index], floor)
        floor = found[index] + gap
    ceiling = high
    for index in reversed(order):
        found[index] = min(found[index], ceiling)
        ceiling = found[index] - gap
    return found


def clipped(name: str, room: float, letter: float = LETTER) -> str:
    """The name, cut to what fits into so many px."""
    letters = max(3, int(room / letter))
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def svg(width: float, height: float, label: str, body: str, css: str = "") -> str:
    """The figure; label: what it shows, for those who do not see it."""
    return (
        f'<svg viewBox="0 0 {short(width)} {short(height)}" width="{short(width)}" '
        f'role="img" aria-label="{escape(label)}"{_class(css)}>{body}</svg>'
    )


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{short(x)} {short(y)}" for x, y in points)


def _class(css: str) -> str:
    return f' class="{css}"' if css else ""
