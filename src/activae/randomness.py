"""Every random number of a run comes from here: explicit generators, one for each purpose.

Runs of one seed are paired: whatever the activation, they draw the same weights (times the gain)
and see the same batches in the same order.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A generator that depends on seed and purpose alone, not on what was drawn before.

    It is always the CPU's: devices would draw different numbers.
    """
    return torch.Generator().manual_seed(_hashed(seed, *purpose))


def batch_order(seed: int, epoch: int, samples: int) -> Tensor:
    """The order in which an epoch (from 0) visits the training samples: int64 [samples], CPU."""
    return torch.randperm(samples, generator=generator(seed, "batches", epoch))


def step_seed(seed: int, step: int, rank: int) -> int:
    """For torch's global generator in a step (from 0) of a rank, which serves stochastic layers."""
    return _hashed(seed, "forward pass", step, rank)


def _hashed(seed: int, *purpose: str | int) -> int:
    text = "/".join(map(str, (seed, *purpose)))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
