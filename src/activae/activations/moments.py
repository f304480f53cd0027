"""The figures that mean-field theory describes an activation by: gain, chi_1, s."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from activae.activations.evaluation import Function, describe, in_float64, values
from activae.activations.gain import gain, normal_grid
from activae.activations.slope import slope
from activae.errors import ConfigError


@dataclass(frozen=True)
class Moments:
    """Of z ~ N(0, 1), for wide layers with weights of std gain / sqrt(fan_in) and biases 0.

    gain: 1 / sqrt(E[f(z)^2]), which keeps the second moment of pre-activations at 1.
    chi_1: E[f'(z)^2] / E[f(z)^2], the factor by which each layer scales the squared gradient, and
      the squared distance between two nearly equal inputs (Poole et al. 2016, Schoenholz et al.
      2017): below 1 they vanish with depth, above 1 they explode.
    s: E[z f(z) f'(z)] / E[f(z)^2], the factor by which each layer scales a small relative error of
      the second moment: below 1 in size it heals, above 1 it grows.
    """

    gain: float
    chi_1: float
    s: float


def moments(activation: Function) -> Moments:
    """Return gain, chi_1 and s of any elementwise f, by the quadrature of `gain`, f' by autograd.

    In evaluation mode, at the present parameters; the module is left as it is. Where f jumps, f' is
    autograd's, which doesn't see the jump. Raises ConfigError as `gain` does, and where E[f'(z)^2]
    is infinite or not a number.
    """
    result = gain(activation)
    z = normal_grid()
    weights = np.exp(-(z**2) / 2)
    output = values(activation, z)
    # A copy in float64, so that a module's parameters match z.
    derivative = slope(in_float64(activation), torch.from_numpy(z)).numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        mass = derivative**2 * weights
    if not np.isfinite(mass).all() or mass.max() > 1e-2 * mass.sum() > 0:
        raise ConfigError(
            f"activation {describe(activation)} has a slope with an infinite second moment, so it "
            "has no chi_1: give it a slope that is finite everywhere."
        )
    second_moment = (output**2 * weights).sum()
    return Moments(
        gain=result,
        chi_1=float(mass.sum() / second_moment),
        s=float((z * output * derivative * weights).sum() / second_moment),
    )
