"""What may stand between encoder and decoder, and has terms of its own in the loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn


class Latent(nn.Module, ABC):
    """Makes codes of what the encoder gives: in training possibly by chance, else by a rule.

    The terms count `weight` times, a number or a function of the step (from 0). `updated` names the
    buffers of this module that `forward` gives new values for; a step writes them.
    """

    kind = ""  # as `latent=` names it
    # Whether the code of a sample is a distribution, and has `moments`.
    is_distribution = False
    inputs: int | None = None  # how many values the encoder gives; None: as many as the code has
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

    def start(self, encoded: Tensor, noise: torch.Generator) -> None:
        """Take first values of its own from the encodings [B, n] of training samples, in place."""

    def prior(self, normal: Tensor) -> Tensor:
        """Codes as one wishes them to be distributed, of standard normal numbers [B, code_dim]."""
        return normal

    def figures(self, encoded: Tensor) -> dict[str, float]:
        """What tells how the latent is used, of the encodings [B, n] of unseen samples."""
        return {}

    def complaints(self, figures: Mapping[str, float], *, ended: bool) -> Iterator[str]:
        """What these figures show to be wrong, and what mends it; `ended`: after the last step."""
        yield from ()
