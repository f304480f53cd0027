"""One optimizer step: loss, gradients, clipping, update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from activae.batch import Batch
from activae.models import Autoencoder

# Of samples, or of a batch with what is drawn for it, where the objective asks for that.
Objective = Callable[[Autoencoder, Any], dict[str, Tensor]]


class EagerStep:
    """Takes a step of the optimizer on each batch it is called with."""

    def __init__(
        self,
        net: Autoencoder,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        clip_norm: float | None,
    ) -> None:
        self.net = net
        self.objective = objective
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.factor = 1.0
        self._set_lr(1.0)

    def __call__(self, batch: Batch, factor: float) -> dict[str, Tensor]:
        """Take a step on a batch of samples with `factor` times lr; return the terms, detached."""
        terms = self.objective(self.net, batch)
        total(terms).backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        if factor != self.factor:
            self._set_lr(factor)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        # Autocast keeps the bf16 copies of the weights for as long as its context is open, and
        # the context spans many of these steps.
        torch.clear_autocast_cache()
        return {name: term.detach() for name, term in terms.items()}

    def sync(self) -> None:
        """Nothing to do: torch's optimizer holds all there is to know."""

    def _set_lr(self, factor: float) -> None:
        self.factor = factor
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor


def total(terms: dict[str, Tensor]) -> Tensor:
    """The sum of an objective's terms, which is what is minimised."""
    values = iter(terms.values())
    loss = next(values)
    for value in values:
        loss = loss + value
    return loss
