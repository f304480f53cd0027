"""Activations with several inputs or outputs for each unit; all act along dimension 1."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.activations.analysis import gain, normal_expectation
from activae.errors import ConfigError


class _Gated(nn.Module):
    """v * gate(w) of an input [B, 2 D, ...] whose halves are v and w: [B, D, ...].

    gain = 1 / sqrt(E[v^2] E[gate(w)^2]) = that of the gate alone, v and w being independent.
    """

    inputs_per_unit = 2
    gate: Callable[[Tensor], Tensor]

    def forward(self, x: Tensor) -> Tensor:
        """Return v * gate(w), half as wide as x."""
        value, gate = x.unflatten(1, (2, -1)).unbind(1)
        return value * self.gate(gate)

    def second_moment(self) -> float:
        """E[f^2] of inputs that are independent and N(0, 1)."""
        return gain(self.gate) ** -2


class GLU(_Gated):
    """v sigmoid(w): the gated linear unit (Dauphin et al. 2017). Gain 1.8462."""

    gate = staticmethod(torch.sigmoid)


class ReGLU(_Gated):
    """v max(w, 0): gated by a ReLU (Dauphin et al. 2017; Shazeer 2020). Gain 1.4142."""

    gate = staticmethod(torch.relu)


class GEGLU(_Gated):
    """v w Phi(w): gated by a GELU (Shazeer 2020). Gain 1.5335."""

    gate = staticmethod(F.gelu)


class SwiGLU(_Gated):
    """v w sigmoid(w): gated by a SiLU (Shazeer 2020). Gain 1.6765."""

    gate = staticmethod(F.silu)


class Bilinear(_Gated):
    """v w: gated by the bare inputs (Mnih & Hinton 2007; Shazeer 2020). Gain 1.0000."""

    @staticmethod
    def gate(x: Tensor) -> Tensor:
        """Return x: this gate is always open."""
        return x


class Maxout(nn.Module):
    """The largest of k inputs (Goodfellow et al. 2013): [B, k D, ...] -> [B, D, ...].

    k is `pieces`; gain 1.0000, 0.8854, 0.8029 for 2, 3, 4. Raises ConfigError for fewer than 2.
    """

    def __init__(self, pieces: int = 2) -> None:
        super().__init__()
        if pieces < 2:
            raise ConfigError(
                f"activation.pieces={pieces}: maxout takes the largest of 2 or more inputs"
            )
        self.pieces = self.inputs_per_unit = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima, of a width k times smaller than that of x."""
        return x.unflatten(1, (self.pieces, -1)).amax(1)

    def second_moment(self) -> float:
        """E[max(z_1, ..., z_k)^2]: the maximum has the density k phi(z) Phi(z)^(k - 1)."""

        def weighted(z: Tensor) -> Tensor:
            return z.square() * self.pieces * torch.special.ndtr(z) ** (self.pieces - 1)

        return normal_expectation(weighted)

    def extra_repr(self) -> str:
        """Show the parameter in the module's text."""
        return f"pieces={self.pieces}"


class CReLU(nn.Module):
    """max(x, 0) beside max(-x, 0) (Shang et al. 2016): [B, D, ...] -> [B, 2 D, ...].

    Gain 1.4142, for a fan-in that is twice the number of units.
    """

    outputs_per_unit = 2

    def forward(self, x: Tensor) -> Tensor:
        """Return both parts, twice as wide as x."""
        return torch.cat([x.relu(), (-x).relu()], dim=1)

    def second_moment(self) -> float:
        """E[f^2] of an output, half that of its input."""
        return 0.5
