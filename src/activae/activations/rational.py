"""A learned quotient of polynomials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from activae.errors import ConfigError

# Least squares fit to LeakyReLU(0.01) on [-3, 3], rounded: there at most 0.034 (at 0) away from it.
_NUMERATOR = (0.0334, 0.505, 1.6556, 2.014, 0.934, 0.1528)
_DENOMINATOR = (0.0, 3.988, 0.0, 0.3026)


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
    *lower, highest = coefficients.unbind()
    if not lower:
        return highest * torch.ones_like(x)
    result = highest * x + lower.pop()
    for coefficient in reversed(lower):
        result = result * x + coefficient
    return result
