"""What may stand between encoder and decoder, and has terms of its own in the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Latent(nn.Module, ABC):
    """Makes codes of what the encoder gives: in training possibly by chance, else by a rule.

    The terms count `weight` times, a number or a function of the step (from 0). `updated` names the
    buffers of this module that `forward` gives new values for; a step writes them.
    """

    weight: float | Callable[[int], float] = 1.0
    updated: tuple[str, ...] = ()
    # (samples [B, *shape], code_dim, generator) -> the random numbers [B, ...] of a step.
    draw: Callable[[Tensor, int, torch.Generator], Tensor] | None = None

    @abstractmethod
    def code(self, encoded: Tensor) -> Tensor:
        """Codes [B, code_dim] of encodings [B, n], the same at every call."""

    @abstractmethod
    def forward(
        self, encoded: Tensor, drawn: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Codes to decode in training, named scalar terms, and new values of `updated` by name.

        A pure function of its arguments, parameters and buffers: it writes no buffer itself.
        """
