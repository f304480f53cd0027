"""Every random number of a run comes from here: explicit generators, one for each purpose.

Runs of one seed are paired: whatever the activation, they draw the same weights (times the gain)
and see the same batches in the same order.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator(seed: int, *purpose: str | int, at: Tensor | None = None) -> torch.Generator:
    """A generator that depends on seed and purpose alone, not on what was drawn before.

    It is the device's of the tensor `at`, otherwise the CPU's; devices draw different numbers.
    """
    text = "/".join(map(str, (seed, *purpose)))
    digest = hashlib.sha256(text.encode()).digest()
    device = torch.device("cpu") if at is None else at.device
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def batch_order(seed: int, epoch: int, samples: int) -> Tensor:
    """The order in which an epoch (from 0) visits the training samples: int64 [samples], CPU."""
    return torch.randperm(samples, generator=generator(seed, "batches", epoch))
