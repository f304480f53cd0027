"""The interval that an activation's outputs lie in."""

from __future__ import annotations

import math

import numpy as np

from activae.activations.evaluation import FloatArray, Function, describe, values
from activae.activations.gain import normal_grid
from activae.errors import ConfigError

_DECADES = range(2, 9)  # |x| up to 10^2, 10^3, ... 10^8: far enough to tell a limit from growth
_POINTS_PER_DECADE = 1000


def output_range(activation: Function) -> tuple[float, float]:
    """Return (infimum, supremum) of f over the real line, accurate to 1e-6 of the larger of them.

    Found from values alone: a bound that still grows at |x| = 10^8 is inf, one that is approached
    (softsign's 1) is given as the limit; whether it is attained is not told. Points where f is NaN
    are passed over. Raises ConfigError if f is NaN for all |x| <= 100.
    """
    far = np.logspace(1, _DECADES[-1], _POINTS_PER_DECADE * _DECADES[-1])
    points = np.concatenate([normal_grid(), [0.0], far, -far])
    output = values(activation, points)
    known = ~np.isnan(output)
    reach, output = np.abs(points[known]), output[known]
    if not (reach <= 10.0 ** _DECADES[0]).any():
        raise ConfigError(f"activation {describe(activation)} is not a number for any x.")
    upper = _supremum(output, reach)
    lower = -_supremum(-output, reach)
    scale = max((abs(bound) for bound in (lower, upper) if math.isfinite(bound)), default=0.0)
    digits = 6 - math.floor(math.log10(scale)) if scale > 0 else 6
    return round(lower, digits) + 0.0, round(upper, digits) + 0.0  # + 0.0: no -0.0


def _supremum(output: FloatArray, reach: FloatArray) -> float:
    """Return the limit of max f over |x| <= 10^k for growing k, inf if it doesn't settle."""
    *_, before, previous, last = (float(output[reach <= 10.0**k].max()) for k in _DECADES)
    if math.isinf(last):
        return last
    step, earlier_step = last - previous, previous - before
    if step <= 1e-7 * abs(last):
        return last
    if step >= earlier_step / 2:
        return math.inf
    return last + step**2 / (earlier_step - step)  # the rest of a geometric series
