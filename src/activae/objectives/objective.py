"""A reconstruction loss with the penalties that go with any of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.bce import bce

ReconstructionLoss = Callable[[Autoencoder, Tensor], Tensor]


class Objective:
    """(autoencoder, batch [B, *shape]) -> named scalar terms; their sum is minimised.

    `l1` adds l1 * sum |w|, `l2` adds l2 * sum w^2 over all weights, not over biases or the
    parameters of activations. Raises ConfigError where one of them is negative.
    """

    def __init__(self, reconstruction: ReconstructionLoss, *, l1: float, l2: float) -> None:
        for key, value in (("l1", l1), ("l2", l2)):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"objective.{key}={value}: must be 0 or a positive number")
        self.reconstruction = reconstruction
        self.l1 = l1
        self.l2 = l2

    @property
    def wants_sigmoid(self) -> bool:
        """Whether the output has to be the sigmoid of the logits the loss is taken from."""
        loss = self.reconstruction
        return (loss.func if isinstance(loss, partial) else loss) is bce

    @property
    def strengths(self) -> tuple[float, float]:
        """The numbers that a call may be given in the place of its own: l1 and l2."""
        return self.l1, self.l2

    def __call__(
        self, net: Autoencoder, x: Tensor, strengths: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Every term of the loss of x [B, *shape]; penalties of weight 0 are left out.

        `strengths` [2], where given, are used in the place of the values of l1 and l2.
        """
        l1, l2 = (self.l1, self.l2) if strengths is None else strengths.unbind()
        terms = {"reconstruction": self.reconstruction(net, x)}
        if self.l1:
            sizes = [weight.abs().sum() for _, weight in net.weights()]
            terms["l1"] = l1 * torch.stack(sizes).sum()
        if self.l2:
            squares = [weight.square().sum() for _, weight in net.weights()]
            terms["l2"] = l2 * torch.stack(squares).sum()
        return terms
