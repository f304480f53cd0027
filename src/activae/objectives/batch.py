"""What a step is given: samples, and the random numbers that it needs.

They are drawn before the step, so that the step is a pure function. The generators depend on seed,
purpose and step alone: runs of one seed see the same noise whatever the activation, and so does a
resumed run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from activae.randomness import generator

# Samples [B, *shape]; or a mapping of `x`, the samples, and one or both of `seen` [B, *shape], what
# the encoder sees instead of them, and `probes` [n, B, code_dim] ~ N(0, 1).
Batch = Tensor | dict[str, Tensor]


@dataclass(frozen=True)
class Noise:
    """Draws what the steps of a run need.

    corrupt: (samples, noise=generator) -> what the encoder sees in training; None: the samples;
    probes: how many vectors of code_dim values each sample needs.
    """

    seed: int
    corrupt: Callable[..., Tensor] | None
    probes: int
    code_dim: int

    def training(self, x: Tensor, step: int) -> Batch:
        """The batch of a training step (from 0) on samples x [B, *shape]."""
        drawn = {}
        if self.corrupt is not None:
            drawn["seen"] = self.corrupt(x, noise=generator(self.seed, "corruption", step, at=x))
        if self.probes:
            drawn["probes"] = self._probes(x, self.seed, step)
        return {"x": x, **drawn} if drawn else x

    def evaluation(self, x: Tensor) -> Batch:
        """The batch to score samples with: uncorrupted, the same probes for every network."""
        return {"x": x, "probes": self._probes(x, 0, "evaluation")} if self.probes else x

    def _probes(self, x: Tensor, *purpose: int | str) -> Tensor:
        seed, *rest = purpose
        drawn = generator(int(seed), "probes", *rest, at=x)
        shape = (self.probes, len(x), self.code_dim)
        return torch.randn(shape, generator=drawn, device=x.device, dtype=x.dtype)


def samples_of(batch: Batch) -> Tensor:
    """The clean samples [B, *shape] of a batch."""
    return batch if isinstance(batch, Tensor) else batch["x"]


def rows_of(batch: Batch, start: int, end: int) -> Batch:
    """Samples start, ..., end - 1 of a batch, with what was drawn for them."""
    if isinstance(batch, Tensor):
        return batch[start:end]
    return {
        name: drawn[:, start:end] if name == "probes" else drawn[start:end]
        for name, drawn in batch.items()
    }


def parts_of(batch: Batch) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Clean samples; what the encoder sees, if that differs; probes, if there are any."""
    if isinstance(batch, Tensor):
        return batch, None, None
    return batch["x"], batch.get("seen"), batch.get("probes")


def stacked(batches: list[Batch]) -> Batch:
    """Batches of several networks as one, along a new first dimension."""
    first = batches[0]
    if isinstance(first, Tensor):
        return torch.stack([samples_of(batch) for batch in batches])
    return {name: torch.stack([batch[name] for batch in batches]) for name in first}  # type: ignore[index]
