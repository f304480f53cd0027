"""Corruptions of the input for denoising autoencoders (Vincent et al. 2008, 2010).

The encoder sees the corrupted sample, the loss asks for the clean one. Each takes normalised
samples [B, *shape], a generator of the CPU (so that devices agree), and the range that the data are
normalised to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from activae.errors import ConfigError


def corrupts(node: Mapping[str, Any] | None) -> bool:
    """Whether a config's `corruption` changes anything."""
    return node is not None and node["_target_"] != f"{__name__}.{none.__name__}"


def none(x: Tensor, *, noise: torch.Generator, value_range: tuple[float, float]) -> Tensor:
    """The samples as they are."""
    return x


def gaussian(
    x: Tensor, *, noise: torch.Generator, value_range: tuple[float, float], std: float
) -> Tensor:
    """Adds N(0, std^2), in units of the normalised data, to every value.

    Raises ConfigError unless std > 0.
    """
    if not 0 < std < float("inf"):
        raise ConfigError(f"corruption.std={std}: must be a number greater than 0")
    return x + std * torch.randn(x.shape, generator=noise, dtype=x.dtype).to(x.device)


def masking(
    x: Tensor, *, noise: torch.Generator, value_range: tuple[float, float], probability: float
) -> Tensor:
    """Sets each value to 0 with `probability`; under `standardise` that is the mean of its feature.

    Raises ConfigError unless the probability lies between 0 and 1.
    """
    return x.masked_fill(_uniform(x, noise) < _share(probability), 0.0)


def salt_and_pepper(
    x: Tensor, *, noise: torch.Generator, value_range: tuple[float, float], probability: float
) -> Tensor:
    """Sets each value with `probability` to an end of the range, either end equally likely.

    Raises ConfigError unless the probability lies between 0 and 1.
    """
    low, high = value_range
    drawn = _uniform(x, noise)
    peppered = x.masked_fill(drawn < _share(probability) / 2, low)
    return peppered.masked_fill(drawn > 1 - probability / 2, high)


def _uniform(x: Tensor, noise: torch.Generator) -> Tensor:
    return torch.rand(x.shape, generator=noise, dtype=x.dtype).to(x.device)


def _share(probability: float) -> float:
    if not 0 < probability < 1:
        raise ConfigError(
            f"corruption.probability={probability}: must be greater than 0 and less than 1"
        )
    return probability
