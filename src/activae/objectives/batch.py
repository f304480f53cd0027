"""What a step is given: samples, and the random numbers that it needs.

They are drawn before the step, which is so a pure function, from generators of the CPU that depend
on seed, purpose and step alone: whatever the activation and the device, runs of one seed meet the
same noise, and a resumed run meets the noise that it would have met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from activae.objectives.declared import Draw
from activae.randomness import generator

# Samples [B, *shape]; or a mapping with these as `x`, with `seen` [B, *shape], what the encoder is
# shown in their place, if that is something else, and with what each declared draw [B, ...] gave.
Batch = Tensor | dict[str, Tensor]


@dataclass(frozen=True)
class Noise:
    """Draws what the steps of a run need.

    corrupt: (samples, noise=generator) -> what the encoder sees of them in training, if not all;
    draws: those that objective, regularisers and latent declare, by name.
    """

    seed: int
    corrupt: Callable[..., Tensor] | None
    draws: Mapping[str, Draw]
    code_dim: int

    def training(self, x: Tensor, step: int) -> Batch:
        """The batch of a training step (from 0) on samples x [B, *shape]."""
        drawn = self._drawn(x, self.seed, step)
        if self.corrupt is not None:
            drawn["seen"] = self.corrupt(x, noise=generator(self.seed, "corruption", step))
        return {"x": x, **drawn} if drawn else x

    def evaluation(self, x: Tensor) -> Batch:
        """Samples to be scored: uncorrupted, and with the same numbers for every network."""
        return {"x": x, **self._drawn(x, 0, "evaluation")} if self.draws else x

    def _drawn(self, x: Tensor, seed: int, moment: int | str) -> dict[str, Tensor]:
        return {
            name: draw(x, self.code_dim, generator(seed, name, moment)).to(x.device)
            for name, draw in self.draws.items()
        }


def samples_of(batch: Batch) -> Tensor:
    """The clean samples [B, *shape] of a batch."""
    return batch if isinstance(batch, Tensor) else batch["x"]


def rows_of(batch: Batch, start: int, end: int) -> Batch:
    """Samples start, ..., end - 1 of a batch, with what was drawn for them."""
    if isinstance(batch, Tensor):
        return batch[start:end]
    return {name: drawn[start:end] for name, drawn in batch.items()}


def stacked(batches: list[Batch]) -> Batch:
    """Batches of several networks as one, along a new first dimension."""
    first = batches[0]
    if isinstance(first, Tensor):
        return torch.stack([samples_of(batch) for batch in batches])
    return {name: torch.stack([batch[name] for batch in batches]) for name in first}  # type: ignore[index]
