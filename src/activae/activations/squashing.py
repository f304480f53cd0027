"""Odd activations that squash their input: all bounded, but for asinh, and all steepest at 0."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.activations.parameters import finite, positive


class ScaledTanh(nn.Module):
    """scale tanh(slope x), elementwise on any shape.

    scale = 1.7159 and slope = 2/3 give f(1) = 1 and f(-1) = -1, and the largest curvature there
    (LeCun et al. 1998, Efficient BackProp). Gain 1.1544.

    Raises ConfigError unless scale and slope are positive and finite.
    """

    def __init__(self, scale: float = 1.7159, slope: float = 2 / 3) -> None:
        super().__init__()
        self.scale = positive("scale", scale, "scale tanh(slope x)")
        self.slope = positive("slope", slope, "scale tanh(slope x)")

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return self.scale * torch.tanh(self.slope * x)

    def extra_repr(self) -> str:
        """Show the parameters in the module's text."""
        return f"scale={self.scale:g}, slope={self.slope:g}"


class PenalizedTanh(nn.Module):
    """tanh(x) if x > 0 else a tanh(x), elementwise on any shape.

    a (default 0.25) is the share of the negative side that is let through: a leaky tanh (Xu et al.
    2016). Gain 2.1849.

    Raises ConfigError for an a that is not finite.
    """

    def __init__(self, a: float = 0.25) -> None:
        super().__init__()
        self.a = finite("a", a)

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return F.leaky_relu(torch.tanh(x), self.a)

    def extra_repr(self) -> str:
        """Show the parameter in the module's text."""
        return f"a={self.a}"


class Arctan(nn.Module):
    """arctan(x), elementwise on any shape.

    Saturates at -pi/2 and pi/2, and slowly: f' falls like 1 / x^2, tanh's like exp(-2 |x|).
    Gain 1.4912.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return torch.atan(x)


class Erf(nn.Module):
    """erf(x), elementwise on any shape.

    A tanh that saturates faster; the mean-field theory of its networks has closed forms (Williams
    1997). Gain 1.4672.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return torch.erf(x)


class Asinh(nn.Module):
    """asinh(x) = log(x + sqrt(x^2 + 1)), elementwise on any shape.

    Linear near 0, logarithmic far out: squashes large inputs, and never saturates. Gain 1.2567.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return torch.asinh(x)


class ISRU(nn.Module):
    """x / sqrt(1 + alpha x^2), elementwise on any shape.

    The inverse square root unit, a tanh without exp; saturates at -+1 / sqrt(alpha), alpha = 1 by
    default (Carlile et al. 2017). Gain 1.7042.

    Raises ConfigError unless alpha is positive and finite.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = positive("alpha", alpha, "x / sqrt(1 + alpha x^2)")

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.rsqrt(1 + self.alpha * x.square())

    def extra_repr(self) -> str:
        """Show the parameter in the module's text."""
        return f"alpha={self.alpha}"


class DynamicTanh(nn.Module):
    """gamma tanh(alpha x) + beta, elementwise on any shape, with all three learned.

    DyT, which the paper puts in a normalisation layer's place (Zhu et al. 2025, Transformers
    without normalization): alpha starts at 0.5, gamma at 1, beta at 0. There gamma and beta are
    vectors, an entry a channel. An activation doesn't know its layer's width, so here all three are
    scalars of this instance, one set for each layer; the weights and biases that follow scale and
    shift each unit anyway. Gain 2.4007 at the start.

    Raises ConfigError for a start that is not finite, or an alpha that is not positive.
    """

    def __init__(self, alpha: float = 0.5, gamma: float = 1.0, beta: float = 0.0) -> None:
        super().__init__()
        positive("alpha", alpha, "tanh(alpha x)")
        self.start = (alpha, finite("gamma", gamma), finite("beta", beta))
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))
        self.beta = nn.Parameter(torch.tensor(float(beta)))

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return self.gamma * torch.tanh(self.alpha * x) + self.beta

    def extra_repr(self) -> str:
        """Show the parameters' first values in the module's text."""
        alpha, gamma, beta = self.start
        return f"alpha={alpha}, gamma={gamma}, beta={beta}"
