"""Binary cross-entropy and the part of it that no reconstruction can avoid."""

from __future__ import annotations

import torch
from torch import Tensor

from activae.errors import DataError

# Keras's backend.epsilon(): a certain but wrong pixel costs 16.1 nats instead of infinitely many.
CLIP = 1e-7


def lies_in_unit_range(x: Tensor) -> bool:
    """Whether every value lies in [0, 1]; NaN does not."""
    low, high = torch.aminmax(x)
    return bool((low >= 0) & (high <= 1))


def bce_floor(x: Tensor) -> float:
    """Return the least BCE that any reconstruction of x [N, ...] can have, in nats per sample.

    It is the data's own entropy, -sum_j [x_j ln x_j + (1 - x_j) ln(1 - x_j)] averaged over samples,
    reached by reconstruction = x (the information inequality: Cover & Thomas, Elements of
    Information Theory, theorem 2.6.3). Zero for binary data.

    Raises DataError where x leaves [0, 1].
    """
    if not lies_in_unit_range(x):
        low, high = (value.item() for value in torch.aminmax(x))
        raise DataError(
            f"binary cross-entropy needs values in [0, 1], these lie in [{low:g}, {high:g}]: "
            "normalise the data to the unit range"
        )
    per_sample = [entropy(part) for part in x.split(256)]
    return torch.cat(per_sample).cpu().double().mean().item()


def bce_above_floor(x: Tensor, reconstruction: Tensor, floor: Tensor | None = None) -> Tensor:
    """Return each sample's BCE minus its floor, in nats [N]; x [N, ...] lies in [0, 1].

    Summed over features. The reconstruction is clipped to [1e-7, 1 - 1e-7] first, as Keras does, so
    that values outside (0, 1) give a finite score. The same number is the Kullback-Leibler
    divergence between Bernoulli variables with the means x and reconstruction. `floor` [N] is
    `entropy(x)`, where that is known.
    """
    p = reconstruction.clamp(CLIP, 1 - CLIP)
    nats = x * p.log() + (1 - x) * (-p).log1p()
    return -nats.flatten(1).sum(1) - (entropy(x) if floor is None else floor)


def entropy(x: Tensor) -> Tensor:
    """Return each sample's entropy in nats [N]: of Bernoulli variables with means x [N, ...]."""
    return (torch.special.entr(x) + torch.special.entr(1 - x)).flatten(1).sum(1)
