"""The intervals as a picture for a paper or a slide: PNG, PDF or SVG, by the file's ending.

matplotlib draws it, which is no dependency: the page is made without.
"""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activae.compare.answer import Answer
from activae.compare.report.intervals import Row, reach, rows_of
from activae.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 200
_SMALL = 4.4  # inches: TensorBoard shrinks what is wider
_BEST, _WORSE = "#0072b2", "#d55e00"  # of Okabe and Ito


def draw(answer: Answer, file: Path) -> None:
    """Draw each condition's paired difference, its interval, and every seed as a dot.

    Raises UserError where matplotlib is not installed or does not know the file's ending.
    """
    try:
        figure = _figure(answer)
    except ImportError as error:
        raise UserError(
            f"{file}: needs matplotlib, which is not installed: pip install matplotlib; "
            "--html FILE has the same figure without it"
        ) from error
    try:
        figure.savefig(file, dpi=_DPI)
    except ValueError as error:
        raise UserError(f"{file}: {error}") from error


def png(answer: Answer) -> bytes:
    """The same, small, as the content of a PNG file. Raises ImportError without matplotlib."""
    drawn = BytesIO()
    _figure(answer, _SMALL).savefig(drawn, format="png", dpi=_DPI / 2)
    return drawn.getvalue()


def _figure(answer: Answer, width: float = 6.4) -> Figure:
    from matplotlib.figure import Figure

    rows = rows_of(answer)
    figure = Figure(figsize=(width, 1.1 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    low, high = reach(rows)
    room = 0.04 * ((high - low) or 1)  # nothing to draw: none has a difference
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(0, color="0.4", linewidth=1)
    for y, row in enumerate(rows):
        _draw_row(axes, y, row, (low - room, high + room), answer.paired.sign)
    axes.set_yticks(range(len(rows)), [_literal(row.name) for row in rows])
    axes.set_xlabel(_literal(f"difference in {answer.metric} to {answer.reference}"))
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def _draw_row(axes: Any, y: int, row: Row, reach: tuple[float, float], sign: int) -> None:
    """Draw a condition. sign: of what is worse."""
    low, high = reach
    colour = _BEST if row.is_best else _WORSE
    filled = colour if row.is_best else "white"
    if not math.isfinite(row.mean):
        end, side = (high, "right") if sign > 0 else (low, "left")
        axes.text(end, y, row.said, ha=side, va="center", fontsize=8, color="0.4")
        return
    if row.is_reference:
        axes.plot(0, y, "o", color=colour)
        return
    if not low <= row.mean <= high:
        end = high if row.mean > high else low
        side = "right" if row.mean > high else "left"
        axes.plot(end, y, ">" if row.mean > high else "<", color=colour, clip_on=False)
        axes.annotate(
            row.said,
            (end, y),
            (-10 if side == "right" else 10, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=8,
            color="0.4",
        )
        return
    axes.plot(row.seeds, [y + 0.22] * len(row.seeds), ".", color=colour, alpha=0.5, markersize=4)
    axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.5)
    axes.plot(row.mean, y, "o", color=colour, markerfacecolor=filled)


def _literal(name: str) -> str:
    """The name without a meaning for matplotlib, which reads $...$ as a formula."""
    return name.replace("$", r"\$")
