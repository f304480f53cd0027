"""Activations that turn back: a bell, a valley, a growing oscillation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
