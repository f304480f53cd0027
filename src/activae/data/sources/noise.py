"""Independent uniform noise: the negative control."""

from __future__ import annotations

import torch

from activae.data.source import Source
from activae.errors import ConfigError


def random_noise(samples: int, features: int, seed: int) -> Source:
    """Vectors of independent values, uniform on [0, 1): `numpy.random.rand(samples, features)`.

    Args:
        samples: number of vectors, at least 2.
        features: values in each.
        seed: of the noise itself; the same seed gives the same data.

    Raises:
        ConfigError: `samples` or `features` is too small.
    """
    for key, value, smallest in (("samples", samples, 2), ("features", features, 1)):
        if value < smallest:
            raise ConfigError(f"data.source.{key}={value}: give at least {smallest}.")
    generator = torch.Generator().manual_seed(seed)
    return Source(
        name="random",
        train=torch.rand(samples, features, generator=generator),
        value_range=(0.0, 1.0),
        note=(
            "Independent uniform noise cannot be compressed: on unseen samples even the best "
            f"linear code of k numbers (PCA) keeps only about k/{features} of the variance, and "
            "what a network learns beyond that is memorised. Use it to measure speed, not to "
            "compare activations."
        ),
    )
