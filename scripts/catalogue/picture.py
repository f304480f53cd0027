"""Pictures of activations as SVG, in colours that can be read on white and on black."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from torch import nn

from activae.activations.analysis import FloatArray
from catalogue.curves import LEFT, RIGHT, Curve, curves_of

BOTTOM, TOP = -2.5, 3.5
_UNIT = 44  # pixels, on both axes: slope 1 is a diagonal
_MARGIN_LEFT, _MARGIN_TOP, _MARGIN_RIGHT, _MARGIN_BOTTOM = 26, 8, 8, 44
_WIDTH, _HEIGHT = round((RIGHT - LEFT) * _UNIT), round((TOP - BOTTOM) * _UNIT)
_GREY = "#808891"
_STYLES = (
    'stroke="#2f81f7" stroke-width="2.4"',
    'stroke="#e36209" stroke-width="1.8" stroke-dasharray="6 3"',
    'stroke="#2da44e" stroke-width="1.8" stroke-dasharray="2 3"',
)


def picture(activation: nn.Module, title: str) -> str:
    """Return an SVG of f and f' on [-4, 4], or of sections through f; both axes alike."""
    curves = curves_of(activation)
    styles = [_STYLES[number % len(_STYLES)] for number in range(len(curves))]
    width = _MARGIN_LEFT + _WIDTH + _MARGIN_RIGHT
    height = _MARGIN_TOP + _HEIGHT + _MARGIN_BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<clipPath id="frame"><rect x="{_MARGIN_LEFT}" y="{_MARGIN_TOP}" width="{_WIDTH}" '
        f'height="{_HEIGHT}"/></clipPath>',
        *_grid(),
        '<g clip-path="url(#frame)" fill="none" stroke-linejoin="round">',
        *(_path(curve, style) for curve, style in zip(curves, styles, strict=True)),
        "</g>",
        *_legend([curve.label for curve in curves], styles),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _grid() -> list[str]:
    """A line at each whole number, the axes stronger; a number at each even one."""
    lines = [f'<g stroke="{_GREY}" stroke-width="1">']
    for x in range(LEFT, RIGHT + 1):
        lines.append(f'<path d="M{_across(x):g} {_MARGIN_TOP}v{_HEIGHT}" {_strength(x)}/>')
    for y in range(int(np.ceil(BOTTOM)), int(np.floor(TOP)) + 1):
        lines.append(f'<path d="M{_MARGIN_LEFT} {_down(y):g}h{_WIDTH}" {_strength(y)}/>')
    lines += ["</g>", f'<g fill="{_GREY}">']
    foot = _MARGIN_TOP + _HEIGHT + 15
    for x in range(LEFT, RIGHT + 1, 2):
        lines.append(f'<text x="{_across(x):g}" y="{foot}" text-anchor="middle">{_text(x)}</text>')
    for y in (-2, 0, 2):
        lines.append(
            f'<text x="{_MARGIN_LEFT - 6}" y="{_down(y) + 4:g}" text-anchor="end">{_text(y)}</text>'
        )
    return [*lines, "</g>"]


def _strength(place: int) -> str:
    return 'stroke-opacity="0.9"' if place == 0 else 'stroke-opacity="0.25"'


def _text(number: int) -> str:
    return str(number).replace("-", "−")


def _path(curve: Curve, style: str) -> str:
    commands = " ".join(_line(x, y) for x, y in curve.pieces)
    return f'<path d="{commands}" {style}/>'


def _line(x: FloatArray, y: FloatArray) -> str:
    # What lies far outside the frame is as well drawn a little outside it.
    inside = np.clip(y, BOTTOM - 20, TOP + 20)
    points = [f"{_across(a):.1f} {_down(b):.1f}" for a, b in zip(x, inside, strict=True)]
    return "M" + "L".join(points)


def _legend(labels: Sequence[str], styles: Sequence[str]) -> list[str]:
    """One row below the frame, where no curve passes."""
    y = _MARGIN_TOP + _HEIGHT + 35
    width = _WIDTH / len(labels)
    lines = []
    for number, (label, style) in enumerate(zip(labels, styles, strict=True)):
        x = _MARGIN_LEFT + width * (number + 0.5) - 17 - 3.2 * len(label)
        lines.append(f'<path d="M{x:.0f} {y}h26" fill="none" {style}/>')
        lines.append(
            f'<text x="{x + 32:.0f}" y="{y + 4}" fill="{_GREY}" font-size="13" '
            f'font-style="italic">{escape(label)}</text>'
        )
    return lines


def _across(x: float) -> float:
    return _MARGIN_LEFT + (x - LEFT) * _UNIT


def _down(y: float) -> float:
    return _MARGIN_TOP + (TOP - y) * _UNIT
