"""Self-gated activations: x times a gate between 0 and 1 that x itself opens.

exp overflows where a gate is long at its limit, and 0 * inf in its derivative would be NaN: inputs
of exp are clamped where the limit is reached exactly, even in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.activations.parameters import finite

_GOMPERTZ_IS_0 = -10.0  # exp(-exp(10)) = 0
_TANH_IS_1 = 10.0  # tanh(exp(10)) = 1


class GoLU(nn.Module):
    """x exp(-exp(-x)), elementwise on any shape.

    The gate is Gompertz's curve, which rises later and faster than the sigmoid and has the longer
    tail to the right (Das et al. 2025, Gompertz linear units). Gain 1.7688.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.exp(-torch.exp(-x.clamp(min=_GOMPERTZ_IS_0)))


class TeLU(nn.Module):
    """x tanh(exp(x)), elementwise on any shape.

    Nearly linear from 1 up, with a negative side that fades like x exp(x) (Fernandez & Mali 2024).
    Gain 1.3748.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.tanh(torch.exp(x.clamp(max=_TANH_IS_1)))


class Serf(nn.Module):
    """x erf(log(1 + exp(x))), elementwise on any shape.

    Mish with the error function in place of tanh (Nag & Bhattacharyya 2021). Gain 1.4122.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.erf(F.softplus(x))


class Smish(nn.Module):
    """x tanh(log(1 + sigmoid(x))), elementwise on any shape.

    The gate ends at tanh(log 2) = 0.6, so that f grows like 0.6 x; the paper's alpha and beta are 1
    here (Wang et al. 2022). Gain 2.5130.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.tanh(torch.log1p(torch.sigmoid(x)))


class Logish(nn.Module):
    """x log(1 + sigmoid(x)), elementwise on any shape.

    The gate ends at log 2, so that f grows like 0.69 x; the paper's alpha and beta are 1 here (Zhu
    et al. 2021). Gain 2.2677.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.log1p(torch.sigmoid(x))


class ELiSH(nn.Module):
    """x sigmoid(x) if x >= 0 else (exp(x) - 1) sigmoid(x), elementwise on any shape.

    Swish on the right, ELU times a sigmoid on the left; found by a genetic search (Basirat & Roth
    2018). Gain 1.7073.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return F.elu(x) * torch.sigmoid(x)


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), elementwise on any shape.

    The sigmoid approximation of GELU, within 0.021 of it (Hendrycks & Gimpel 2016; used by CLIP).
    Gain 1.5395.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.sigmoid(1.702 * x)


class Swish(nn.Module):
    """x sigmoid(beta x), elementwise on any shape, with a beta that is learned.

    beta is a scalar parameter of this instance, so one for each layer, that starts at the value
    given (default 1). Between x / 2 at beta = 0 and ReLU at beta = infinity; fixed at 1 it is SiLU
    (Ramachandran et al. 2017). Gain 1.6765 at the start.

    Raises ConfigError for a beta that is not finite.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.start = finite("beta", beta)
        self.beta = nn.Parameter(torch.tensor(float(beta)))

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        return x * torch.sigmoid(self.beta * x)

    def extra_repr(self) -> str:
        """Show the parameter's first value in the module's text."""
        return f"beta={self.start}"
