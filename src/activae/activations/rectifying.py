"""Relatives of the ReLU: linear or faster to the right, flat or much flatter to the left.

In sums of ReLUs rather than torch.where, which takes five times as long uncompiled. x - relu(x) is
min(0, x) with slope 1 at 0, relu'(0) being 0: so the slopes of the two sides add up there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.activations.parameters import positive
from activae.errors import ConfigError


class Squareplus(nn.Module):
    """(x + sqrt(x^2 + b)) / 2, elementwise on any shape.

    A softplus of algebra alone, always positive; b, the size of the bend, is 4 by default, which
    gives f(0) = 1 (Barron 2021). Gain 0.8165.

    Raises ConfigError unless b is positive and finite.
    """

    def __init__(self, b: float = 4.0) -> None:
        super().__init__()
        self.b = positive("b", b, "(x + sqrt(x^2 + b)) / 2")

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        # The two terms of the formula cancel to the left; as a quotient what they add to max(0, x)
        # keeps its digits.
        above, root = F.relu(x), torch.sqrt(x.square() + self.b)
        return above + self.b / (2 * (root + (2 * above - x)))

    def extra_repr(self) -> str:
        """Show the parameter in the module's text."""
        return f"b={self.b}"


class ShiftedSoftplus(nn.Module):
    """log((exp(x) + 1) / 2), elementwise on any shape.

    Softplus lowered by log 2, so that f(0) = 0; infinitely often differentiable (Schütt et al.
    2017, SchNet). Gain 1.8756.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return F.softplus(x) - math.log(2)


class ReLUSquared(nn.Module):
    """max(0, x)^2, elementwise on any shape.

    Has a continuous slope, and grows with the square of its input: what is large gets larger from
    layer to layer (So et al. 2021, Primer). Gain 0.8165.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return F.relu(x).square()


class ISRLU(nn.Module):
    """x if x >= 0 else x / sqrt(1 + alpha x^2), elementwise on any shape.

    An ELU without exp, with continuous first and second derivatives; the left side ends at
    -1 / sqrt(alpha), alpha = 1 by default (Carlile et al. 2017). Gain 1.2197.

    Raises ConfigError unless alpha is positive and finite.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = positive("alpha", alpha, "x / sqrt(1 + alpha x^2)")

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        above = F.relu(x)
        below = x - above
        return above + below * torch.rsqrt(1 + self.alpha * below.square())

    def extra_repr(self) -> str:
        """Show the parameter in the module's text."""
        return f"alpha={self.alpha}"


class SmeLU(nn.Module):
    """0 below -beta, (x + beta)^2 / (4 beta) to beta, x beyond, elementwise on any shape.

    The ReLU with a parabola in place of its corner, half of whose width is beta, 1 by default: made
    for runs that reproduce each other (Shamir et al. 2020). Gain 1.3803.

    Raises ConfigError unless beta is positive and finite.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = positive("beta", beta, "(x + beta)^2 / (4 beta)")

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        beyond = F.relu(x - self.beta)
        bend = F.relu(x + self.beta) - beyond  # from 0 to 2 beta
        return bend.square() / (4 * self.beta) + beyond

    def extra_repr(self) -> str:
        """Show the parameter in the module's text."""
        return f"beta={self.beta}"


class BentIdentity(nn.Module):
    """x + (sqrt(x^2 + 1) - 1) / 2, elementwise on any shape.

    Slope 1/2 far to the left, 3/2 far to the right, 1 at 0: bends only a little, and passes
    gradients everywhere. Gain 0.9655.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        square = x.square()
        return x + square / (2 * (torch.sqrt(square + 1) + 1))


class XIELU(nn.Module):
    """alpha_p x^2 + beta x if x > 0 else alpha_n (exp(x) - 1 - x) + beta x, on any shape.

    The integral of a trainable ELU (Huang & Schlag 2024): alpha_p and alpha_n, the curvature on
    either side, are learned scalars of this instance, one pair for each layer, and start at 0.8;
    softplus keeps alpha_p above 0 and alpha_n above beta, so that f is convex and rises to the far
    left too. beta, the slope at 0, is fixed at 0.5 unless given. Gain 0.7591 at the start.

    Raises ConfigError unless 0 < beta < alpha_n and 0 < alpha_p.
    """

    def __init__(self, alpha_p: float = 0.8, alpha_n: float = 0.8, beta: float = 0.5) -> None:
        super().__init__()
        positive("alpha_p", alpha_p, "alpha_p x^2 + beta x")
        self.beta = positive("beta", beta, "alpha_p x^2 + beta x")
        if not beta < alpha_n < math.inf:
            raise ConfigError(
                f"activation.alpha_n={alpha_n}: xielu learns it above activation.beta={beta}; "
                "give a larger one, or a smaller beta."
            )
        self.start = (alpha_p, alpha_n)
        self.raw_p = nn.Parameter(torch.tensor(_softplus_inverse(alpha_p)))
        self.raw_n = nn.Parameter(torch.tensor(_softplus_inverse(alpha_n - beta)))

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        above = F.relu(x)
        below = x - above
        right = F.softplus(self.raw_p) * above.square()
        left = (self.beta + F.softplus(self.raw_n)) * (torch.expm1(below) - below)
        return right + left + self.beta * x

    def extra_repr(self) -> str:
        """Show the parameters' first values in the module's text."""
        alpha_p, alpha_n = self.start
        return f"alpha_p={alpha_p}, alpha_n={alpha_n}, beta={self.beta}"


class RReLU(nn.Module):
    """x where x > 0, else a x: in training a ~ U(lower, upper) for each element, else its mean.

    lower is 1/8 and upper 1/3 by default. The function of torch.nn.RReLU (Xu et al. 2015), whose
    own kernel vmap refuses (torch 2.15), so that it could not be trained in a stack; there, vmap
    needs randomness="different". Gain 1.3785, that of the mean slope.

    Raises ConfigError unless lower <= upper.
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3) -> None:
        super().__init__()
        if not lower <= upper:
            raise ConfigError(
                f"activation.lower={lower} is above activation.upper={upper}: "
                "slopes are drawn between the two."
            )
        self.lower = lower
        self.upper = upper

    def forward(self, x: Tensor) -> Tensor:
        """Return x with its negative elements scaled, in the shape of x."""
        if not self.training:
            return F.leaky_relu(x, (self.lower + self.upper) / 2)
        slope = self.lower + (self.upper - self.lower) * torch.rand_like(x)
        return torch.where(x > 0, x, slope * x)

    def extra_repr(self) -> str:
        """Show the parameters in the module's text."""
        return f"lower={self.lower:g}, upper={self.upper:g}"


def _softplus_inverse(y: float) -> float:
    return y + math.log(-math.expm1(-y))
