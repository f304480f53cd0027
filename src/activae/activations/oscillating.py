"""Activations that turn back, wave, or learn their shape: bells, valleys, sines, a rational."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from activae.errors import ConfigError

# Least squares fit to LeakyReLU(0.01) on [-3, 3], rounded: there at most 0.034 (at 0) away from it.
_NUMERATOR = (0.0334, 0.505, 1.6556, 2.014, 0.934, 0.1528)
_DENOMINATOR = (0.0, 3.988, 0.0, 0.3026)


class Gaussian(nn.Module):
    """exp(-x^2), elementwise on any shape.

    The bell of radial basis functions; a unit answers to inputs near 0 and to no others (Broomhead
    & Lowe 1988). Gain 1.4953.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return torch.exp(-x.square())


class GCU(nn.Module):
    """x cos(x), elementwise on any shape.

    The growing cosine unit, one of which can separate XOR; its slope grows without bound (Noel et
    al. 2021). Gain 1.8349.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.cos(x)


class LiSHT(nn.Module):
    """x tanh(x), elementwise on any shape.

    A smooth |x|: never negative, with gradients for inputs of either sign (Roy et al. 2019).
    Gain 1.1487.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.tanh(x)


class Sin(nn.Module):
    """sin(frequency x), elementwise on any shape.

    frequency is 1 by default; SIREN (Sitzmann et al. 2020) has 30. Gain 1.5209.

    Raises ConfigError for a frequency that is 0 or not finite.
    """

    def __init__(self, frequency: float = 1.0) -> None:
        super().__init__()
        if frequency == 0 or not math.isfinite(frequency):
            raise ConfigError(
                f"activation.frequency={frequency} makes sin(frequency x) useless: "
                "give a finite number other than 0, such as 1."
            )
        self.frequency = frequency

    def forward(self, x: Tensor) -> Tensor:
        """Return sin(frequency * x), in the shape of x."""
        return torch.sin(self.frequency * x)

    def extra_repr(self) -> str:
        """Show the parameter in the module's text."""
        return f"frequency={self.frequency}"


class Siren(nn.Module):
    """sin(w0 x), elementwise on any shape, with its own initialisation (Sitzmann et al. 2020).

    Gain 1.4142 for w0 = 30, which concerns the linear layers that follow the last hidden one.
    Raises ConfigError for a w0 that is not positive and finite.
    """

    def __init__(self, w0: float = 30.0) -> None:
        super().__init__()
        if not 0 < w0 < math.inf:
            raise ConfigError(
                f"activation.w0={w0} is not a frequency for siren, sin(w0 x): "
                "give a positive number, such as 30."
            )
        self.w0 = w0

    def forward(self, x: Tensor) -> Tensor:
        """Return sin(w0 x), in the shape of x."""
        return torch.sin(self.w0 * x)

    def initial_weights(self, normal: Tensor, fan_in: int, *, first: bool) -> Tensor:
        """The weights of the layer before: section 3.2 of the paper, and its code.

        They are U(-1/n, 1/n) where that layer is the first, to spread the data over several
        periods, and U(-sqrt(6/n)/w0, sqrt(6/n)/w0) elsewhere, which gives w0 x unit variance; n is
        fan_in. `normal`, standard normal noise in the shape of the weights, is what other
        activations scale: here its distribution function makes it uniform.
        """
        bound = 1 / fan_in if first else math.sqrt(6 / fan_in) / self.w0
        return torch.erf(normal / math.sqrt(2)) * bound  # 2 Phi(z) - 1 ~ U(-1, 1)

    def extra_repr(self) -> str:
        """Show the parameter in the module's text."""
        return f"w0={self.w0}"


class Snake(nn.Module):
    """x + sin(a x)^2 / a, elementwise on any shape.

    Periodic and growing, with a slope from 0 to 2 (Ziyin et al. 2020, equation 3); a is 1 by
    default. With `learnable`, a is a parameter of this instance, a scalar that starts at the value
    given. Gain 0.8746.

    Raises ConfigError for an a that is not positive and finite.
    """

    def __init__(self, a: float = 1.0, learnable: bool = False) -> None:
        super().__init__()
        if not 0 < a < math.inf:
            raise ConfigError(
                f"activation.a={a} is not a frequency for snake, x + sin(a x)^2 / a: "
                "give a positive number, such as 1."
            )
        self.a = nn.Parameter(torch.tensor(float(a))) if learnable else a
        self.start = a
        self.learnable = learnable

    def forward(self, x: Tensor) -> Tensor:
        """Return x + sin(a x)^2 / a, in the shape of x."""
        return x + torch.sin(self.a * x).square() / self.a

    def extra_repr(self) -> str:
        """Show the parameters in the module's text."""
        return f"a={self.start}, learnable={self.learnable}"


class Rational(nn.Module):
    """P(x) / (1 + |Q(x)|) with learned polynomials, elementwise on any shape.

    P(x) = numerator[0] + numerator[1] x + ..., Q(x) = denominator[0] x + denominator[1] x^2 + ...:
    the safe Padé activation unit, which has no pole (Molina et al. 2020). As in the paper P has
    degree 5 and Q degree 4, and the start is a least squares fit to leaky ReLU, slope 0.01, on
    [-3, 3]; other lists give other starts and degrees. The coefficients are parameters of this
    instance, one set for each layer. Gain 1.4148 at the start.

    Raises ConfigError for a list that is empty or holds a number that is not finite.
    """

    def __init__(
        self,
        numerator: Sequence[float] = _NUMERATOR,
        denominator: Sequence[float] = _DENOMINATOR,
    ) -> None:
        super().__init__()
        for name, values in (("numerator", numerator), ("denominator", denominator)):
            if not values or not all(map(math.isfinite, values)):
                raise ConfigError(
                    f"activation.{name}={list(values)}: give the coefficients as a list of one "
                    "finite number or more"
                )
        self.numerator = nn.Parameter(torch.tensor([float(a) for a in numerator]))
        self.denominator = nn.Parameter(torch.tensor([float(b) for b in denominator]))

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return _polynomial(self.numerator, x) / (1 + (x * _polynomial(self.denominator, x)).abs())

    def extra_repr(self) -> str:
        """Show the degrees in the module's text."""
        return f"degrees={len(self.numerator) - 1}/{len(self.denominator)}"


def _polynomial(coefficients: Tensor, x: Tensor) -> Tensor:
    """Horner's scheme, the constant first."""
    lower, highest = coefficients.unbind()[:-1], coefficients[-1]
    if not lower:
        return highest * torch.ones_like(x)
    result = highest * x + lower[-1]
    for coefficient in reversed(lower[:-1]):
        result = result * x + coefficient
    return result
