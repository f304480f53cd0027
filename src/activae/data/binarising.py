"""Pictures of 0 and 1, drawn with the probabilities that grey values are.

`static`: each sample is drawn once (as Larochelle & Murray 2011, The neural autoregressive
distribution estimator, whose published file is another such draw). `dynamic`: training draws anew
at each step (Burda et al. 2016, Importance weighted autoencoders); what is scored is drawn once. A
draw made once depends on the sample's place in its file alone, not on split, seed or batch; one of
a step on the run's seed and the step.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.data.layout import Segments
from activae.data.on_disk.rows import NpyRows
from activae.data.source import Source
from activae.errors import ConfigError
from activae.randomness import generator

Pictures = TypeVar("Pictures", Tensor, NDArray[Any])

KINDS = ("static", "dynamic")
_KEYS = {"train": 1, "test": 2}  # of the streams of random numbers
_AT_ONCE = 1 << 22  # values
_PER_COUNT = 8  # random numbers of 32 bits for each count of Philox


def binarised(source: Source, kind: str | None) -> Source:
    """The source with its samples drawn as the two ends of its range; None: as it is.

    Raises ConfigError for an unknown kind, and where the source does not say what its range is.
    """
    if kind is None:
        return source
    if kind not in KINDS:
        raise ConfigError(f"data.source.binarise={kind}: choose {' or '.join(KINDS)}, or null")
    bounds = source.value_range
    if bounds is None:
        raise ConfigError(
            f"data.source.binarise={kind}: takes values for probabilities, and nothing says which "
            f"value of {source.name} is 0 and which is 1; declare them, as data.value_range=[0,255]"
        )
    train = source.train
    if isinstance(train, Tensor):
        drawn: Tensor | NpyRows = fixed_draw(train, bounds)
    else:
        drawn = copy(train)
        drawn.alter = partial(_draw_of_rows, bounds=bounds)
    return replace(
        source,
        train=drawn,
        test=None if source.test is None else fixed_draw(source.test, bounds, part="test"),
        binarise=kind,
        intensities=train if kind == "dynamic" else None,
    )


def fixed_draw(
    raw: Pictures, bounds: tuple[float, float], first: int = 0, part: str = "train"
) -> Pictures:
    """Samples [N, ...] of the two bounds, the same at every call; the first of them has a place.

    A NumPy array gives an array, a tensor a tensor.
    """
    if isinstance(raw, np.ndarray):
        drawn_ones: NDArray[Any] = fixed_draw(torch.tensor(raw), bounds, first, part).numpy()
        return drawn_ones
    low, high = bounds
    drawn = torch.empty_like(raw)
    size = max(1, _AT_ONCE // prod(raw.shape[1:]))
    for start in range(0, len(raw), size):
        piece = raw[start : start + size]
        ones = _uniform(piece.shape, first + start, part) < (piece.float() - low) / (high - low)
        drawn[start : start + size] = torch.where(ones, high, low)
    return drawn


def fresh_draw(probabilities: Tensor, seed: int, step: int) -> Tensor:
    """Samples of 0 and 1 [B, ...] for a step (from 0), with these probabilities."""
    noise = generator(seed, "binarise", step)
    uniform = torch.rand(probabilities.shape, generator=noise, dtype=torch.float32)
    return (uniform.to(probabilities.device) < probabilities).to(probabilities.dtype)


def _draw_of_rows(raw: Tensor, segments: Segments, bounds: tuple[float, float]) -> Tensor:
    """The fixed draw of rows that lie in these segments of a file."""
    lengths = (segments[:, 1] - segments[:, 0]).tolist()
    pieces = zip(raw.split(lengths), segments[:, 0].tolist(), strict=True)
    return torch.cat([raw[:0], *(fixed_draw(piece, bounds, start) for piece, start in pieces)])


def _uniform(shape: torch.Size, first: int, part: str) -> Tensor:
    """Numbers of [0, 1) for samples from one place on: of each by its place, by a counter."""
    values = prod(shape[1:])
    counts = -(-values // _PER_COUNT)
    stream = np.random.Generator(np.random.Philox(key=_KEYS[part], counter=first * counts))
    found = stream.random((shape[0], counts * _PER_COUNT), dtype=np.float32)
    return torch.from_numpy(found)[:, :values].reshape(shape)
