"""The initialisation gain of any activation."""

from __future__ import annotations

import math

import numpy as np
from torch import nn

from activae.activations.evaluation import FloatArray, Function, describe, values
from activae.activations.units import is_elementwise
from activae.errors import ConfigError

# The midpoint rule on equal cells: exact to rounding for smooth f, and where f has a kink or a jump
# the error is that of one cell, below 5e-5 of the gain. Cell edges lie on 0, 1/2, 1, 3 and 6, where
# torch's own activations have theirs; z = 0 itself, where f may be 0/0, is never evaluated.
_HALF_WIDTH = 12
_CELLS_PER_UNIT = 8192
_NORM = _CELLS_PER_UNIT * math.sqrt(2 * math.pi)


def normal_grid() -> FloatArray:
    """Return the midpoints of the cells, ascending from -12 to 12."""
    cells = 2 * _HALF_WIDTH * _CELLS_PER_UNIT
    return (np.arange(cells) + 0.5) / _CELLS_PER_UNIT - _HALF_WIDTH


def normal_expectation(function: Function) -> float:
    """Return E[f(z)], z ~ N(0, 1), of an elementwise f: exact to rounding where f is smooth."""
    z = normal_grid()
    return float((values(function, z) * np.exp(-(z**2) / 2)).sum() / _NORM)


def gain(activation: Function) -> float:
    """Return 1 / sqrt(E[f(z)^2]), z ~ N(0, 1): weights of std gain / sqrt(fan_in) keep the scale.

    This is He et al.'s (2015) argument for any f. The module is left as it is: the value is that of
    evaluation mode (a random slope counts as its mean), at the present parameters. Where a unit has
    several inputs or outputs (`activae.activations.units`), the class tells E[f^2] over independent
    N(0, 1) inputs by a method `second_moment() -> float`. Raises ConfigError, naming the
    activation, if E[f(z)^2] is 0, infinite or not a number, or is not told.
    """
    if isinstance(activation, nn.Module) and not is_elementwise(activation):
        return 1 / math.sqrt(_told_moment(activation))
    z = normal_grid()
    output = values(activation, z)
    if not np.isfinite(output).all():
        where = z[np.argmin(np.isfinite(output))]
        raise ConfigError(
            f"activation {describe(activation)} is not finite at x = {where:.4g}, so it has no "
            "initialisation gain. Make it finite for every x, or use init=torch."
        )
    with np.errstate(over="ignore"):
        mass = output**2 * np.exp(-(z**2) / 2)
    moment = float(mass.sum()) / _NORM
    if moment == 0:
        raise ConfigError(
            f"activation {describe(activation)} is 0 for all inputs of ordinary size, so it has no "
            "initialisation gain. Choose a function that lets some input through."
        )
    if _diverges(mass, z):
        raise ConfigError(
            f"activation {describe(activation)} has an infinite second moment: it has a pole, or "
            "grows as fast as exp(x^2 / 4). Choose a tamer function, or use init=torch."
        )
    return 1 / math.sqrt(moment)


def _told_moment(activation: nn.Module) -> float:
    told = getattr(activation, "second_moment", None)
    if told is None:
        raise ConfigError(
            f"activation {describe(activation)} has several inputs or outputs for each unit: give "
            "its class a method second_moment() that returns E[f^2] of N(0, 1) inputs, or use "
            "init=torch."
        )
    moment = float(told())
    if not 0 < moment < math.inf:
        raise ConfigError(
            f"activation {describe(activation)}: second_moment() is {moment}, so it has no "
            "initialisation gain. Correct it, or use init=torch."
        )
    return moment


def _diverges(mass: FloatArray, z: FloatArray) -> bool:
    """Say whether the integral hangs on the grid: on where it ends, or on the width of one cell."""
    total = mass.sum()
    tail = mass[np.abs(z) > _HALF_WIDTH - 1].sum()
    return bool(not np.isfinite(total) or tail > 1e-6 * total or mass.max() > 1e-2 * total)
