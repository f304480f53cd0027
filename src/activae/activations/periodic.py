"""Periodic activations."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from activae.errors import ConfigError


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
