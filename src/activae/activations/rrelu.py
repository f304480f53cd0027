"""RReLU in operations that torch.func.vmap knows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.errors import ConfigError


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
