"""What one pass over samples tells of them: extremes, means, deviations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

# Values converted at once; as float64 they still fit a CPU's cache, which is 6 times faster.
CHUNK_VALUES = 2**17


@dataclass(frozen=True, eq=False)
class Survey:
    """Statistics of raw samples `[N, *shape]`, each a float64 tensor.

    low, high, mean_sample: of each position, `[*shape]`.
    mean, deviation: of each feature `[features]` or channel `[C, 1, 1]`; population deviation.
    """

    low: Tensor
    high: Tensor
    mean_sample: Tensor
    mean: Tensor
    deviation: Tensor


def chunk_rows(values: int) -> int:
    """How many samples of so many values are summed at once.

    Who adds samples in parts of a multiple of these gets the very sums of one large part.
    """
    return max(1, CHUNK_VALUES // values)


class Moments:
    """Mean and population deviation, summed in float64 over samples that are added part by part.

    Values are shifted by the first sample's before they are squared: a variance from plain sums
    of squares cancels where the mean is large, and constant features come out as exactly 0.
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, part: Tensor) -> None:
        """Add samples `[n, *shape]`, on the CPU."""
        values = part.numpy()  # which adds up rows 4 times as fast as torch, on one core
        if not self.count:
            self._begin(values)
        rows = chunk_rows(self.total.size)
        for first in range(0, len(values), rows):
            chunk = np.subtract(values[first : first + rows], self.shift, dtype=np.float64)
            self.total += chunk.sum(0)
            self.squares += np.square(chunk, out=chunk).sum(0)
        self.count += len(values)

    def _begin(self, values: Array) -> None:
        first = values[0, :, :1, :1] if values.ndim == 4 else values[0]
        self.shift = first.astype(np.float64)
        self.total = np.zeros(values.shape[1:])
        self.squares = np.zeros(values.shape[1:])

    def mean_sample(self) -> Tensor:
        """The mean of each position, `[*shape]`."""
        return torch.from_numpy(self.shift + self.total / self.count)

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """Of each feature `[features]` or channel `[C, 1, 1]`."""
        mean, mean_square = self.total / self.count, self.squares / self.count
        if mean.ndim == 3:
            mean, mean_square = (m.mean((1, 2), keepdims=True) for m in (mean, mean_square))
        variance = (mean_square - mean**2).clip(min=0)
        return torch.from_numpy(self.shift + mean), torch.from_numpy(np.sqrt(variance))


class Surveyor:
    """Gathers a Survey from samples that are added part by part."""

    def __init__(self) -> None:
        self.moments = Moments()
        self.low = self.high = np.empty(0)

    def add(self, part: Tensor) -> None:
        """Add samples `[n, *shape]`, on the CPU."""
        low, high = part.numpy().min(0), part.numpy().max(0)
        if self.moments.count:
            low, high = np.minimum(low, self.low), np.maximum(high, self.high)
        self.low, self.high = low, high
        self.moments.add(part)

    def survey(self) -> Survey:
        """The statistics of all that was added."""
        mean, deviation = self.moments.mean_and_deviation()
        low, high = (torch.from_numpy(bound).double() for bound in (self.low, self.high))
        return Survey(low, high, self.moments.mean_sample(), mean, deviation)
