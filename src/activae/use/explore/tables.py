"""An elementwise function as a piecewise cubic: what explore.js evaluates in place of torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Function = Callable[[FloatArray], FloatArray]

TOLERANCE = 1e-6  # of max(1, |f|): far below the 1e-4 that the page's numbers keep
_REACHES = (1024.0, 128.0, 32.0, 12.0)  # |x| that the pieces cover: the largest that they can
_MOST_PIECES = 6000
_NARROWEST = 1e-6  # a jump or a kink is found to this width
_NODES = np.cos(np.pi * (2 * np.arange(4) + 1) / 8)  # inside: a jump at an edge does no harm
_TO_COEFFICIENTS = np.linalg.inv(np.vander(_NODES, 4, increasing=True)).T
_CHECKS = np.array([-0.998, -0.8, -0.55, -0.1, 0.15, 0.6, 0.75, 0.998])
_CHECK_POWERS = np.vander(_CHECKS, 4, increasing=True).T
_FAR = 8.0  # how much farther out tails are compared


class NoTableError(ValueError):
    """The function is not finite, or too rough for a table."""


def table(function: Function) -> FloatArray:
    """Rows [pieces + 2, 5]: left edge and c0..c3 of sum(c_i t^i), t in [-1, 1] across the piece.

    The first and the last row are the tails, in x instead of t: a line by value and slope, or the
    outermost cubic where that fits better (of a squared ReLU). Raises NoTableError.
    """
    for reach in _REACHES:
        found = _pieces(function, reach)
        if found is not None:
            lefts, coefficients = found
            left = _tail(function, -reach, lefts[0], lefts[1], coefficients[0])
            right = _tail(function, reach, lefts[-1], reach, coefficients[-1])
            body = np.column_stack([lefts, coefficients])
            return np.vstack([[-np.inf, *left], body, [reach, *right]])
    raise NoTableError("it is not finite, or too rough, for |x| <= 12")


def _pieces(function: Function, reach: float) -> tuple[FloatArray, FloatArray] | None:
    """Left edges and coefficients, ascending; None where there would be too many."""
    edges = np.linspace(-reach, reach, 17)
    left, right = edges[:-1], edges[1:]
    done: list[FloatArray] = []
    pieces = 0
    while len(left):
        middle, half = (left + right) / 2, (right - left) / 2
        inside = middle[:, None] + half[:, None] * np.concatenate([_NODES, _CHECKS])
        y = function(inside.ravel()).reshape(inside.shape)
        if not np.isfinite(y).all():
            return None
        coefficients = y[:, :4] @ _TO_COEFFICIENTS
        error = np.abs(coefficients @ _CHECK_POWERS - y[:, 4:])
        fits = (error <= TOLERANCE * np.maximum(1, np.abs(y[:, 4:]))).all(1)
        fits |= half < _NARROWEST / 2
        done.append(np.column_stack([left, coefficients])[fits])
        pieces += int(fits.sum())
        left, middle, right = left[~fits], middle[~fits], right[~fits]
        if pieces + len(left) > _MOST_PIECES:
            return None
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
    rows = np.concatenate(done)
    rows = rows[np.argsort(rows[:, 0])]
    return rows[:, 0], rows[:, 1:]


def _tail(
    function: Function, edge: float, left: float, right: float, coefficients: FloatArray
) -> list[float]:
    """Coefficients in x of what lies beyond an edge."""
    inward = edge * (1 - 2**-6)
    y, before, far = function(np.array([edge, inward, edge * _FAR]))
    slope = (y - before) / (edge - inward)
    line = np.polynomial.Polynomial([y - slope * edge, slope])
    t = np.polynomial.Polynomial([-(right + left) / (right - left), 2 / (right - left)])
    cubic = np.polynomial.Polynomial(coefficients)(t)
    if np.isfinite(far) and abs(cubic(edge * _FAR) - far) < abs(line(edge * _FAR) - far):
        line = cubic
    return [*line.coef, 0.0, 0.0, 0.0, 0.0][:4]
