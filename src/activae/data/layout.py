"""How the rows of an array file are split and in what order an epoch visits them.

Both depend on the file and the settings alone, never on whether the rows are in memory or on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.randomness import batch_order, generator

Array = NDArray[Any]
Segments = NDArray[np.int64]  # [n, 2]: first row and the row after the last, of each

# Larger files are split by blocks: their single rows are too many to read one at a time, and too
# much for the system to keep in its file cache.
SMALL_FILE_BYTES = 256 << 20
SMALL_FILE_ROWS = 1 << 22
# Read at once: a disk that has to seek then still reads at three quarters of its speed.
BLOCK_BYTES = 4 << 20
SMALLEST_BLOCK_BYTES = 64 << 10
BLOCKS_OF_A_FILE = 2048  # at least so many blocks are split
BLOCKS_OF_A_WINDOW = 64  # the rows of at least so many blocks are shuffled together


@dataclass(frozen=True)
class Layout:
    """How many rows of an array file belong together.

    split_rows: a split takes so many neighbours at once: 1, or a block.
    block_rows: an epoch visits so many neighbours within one window.
    window_rows: so many rows are in the buffer and shuffled together.
    """

    split_rows: int
    block_rows: int
    window_rows: int


def layout_of(values: Array, to_samples: Callable[[Array], Tensor], buffer_bytes: float) -> Layout:
    """The layout of a file's array [N, ...], in memory or mapped, of which one row is read.

    buffer_bytes: memory for two windows of rows: one is shuffled while the next one is read.

    Raises what `to_samples` raises.
    """
    row = np.array(values[:1] if values.ndim else values)
    first = to_samples(row)
    row_bytes = bytes_of_a_row(values)
    size = len(values) * row_bytes
    # A row in its window: as it is in the file, as a sample if that is another, and its place.
    copied = 0 if np.shares_memory(first.numpy(), row) else first.nbytes
    window = max(1, int(buffer_bytes / 2 / (row_bytes + copied + 8)))
    block_bytes = min(BLOCK_BYTES, max(SMALLEST_BLOCK_BYTES, size // BLOCKS_OF_A_FILE))
    block = max(1, min(block_bytes // row_bytes, window // BLOCKS_OF_A_WINDOW))
    is_small = size <= SMALL_FILE_BYTES and len(values) <= SMALL_FILE_ROWS
    return Layout(1 if is_small else block, block, window)


def bytes_of_a_row(values: Array) -> int:
    """Bytes of a row [1, ...] of an array [N, ...], at least 1."""
    return max(1, values.dtype.itemsize * prod(values.shape[1:]))


@dataclass(frozen=True)
class EpochOrder:
    """The order in which an epoch visits the samples of a part, each once.

    Blocks of neighbouring positions come in random order, as many at a time as a window holds, and
    the positions of a window in random order. One window is a random permutation.

    ends: the position after the last of each block.
    together: how many blocks a window holds.
    """

    ends: tuple[int, ...]
    together: int = 1

    @classmethod
    def of(cls, segments: Segments, layout: Layout) -> EpochOrder:
        """The order of a part that consists of these segments of a file."""
        ends = np.cumsum(segments[:, 1] - segments[:, 0])
        samples = int(ends[-1])
        if samples <= layout.window_rows:
            return cls((samples,))
        if layout.split_rows == 1:
            ends = np.minimum(np.arange(0, samples, layout.block_rows) + layout.block_rows, samples)
        return cls(tuple(ends.tolist()), max(1, layout.window_rows // layout.block_rows))

    def windows(self, seed: int, epoch: int) -> list[Segments]:
        """Of each window its blocks, [n, 2]: the first position and that after the last."""
        blocks = np.stack([(0, *self.ends[:-1]), self.ends], axis=1)
        if len(blocks) > 1:
            order = torch.randperm(len(blocks), generator=generator(seed, "batches", epoch))
            blocks = blocks[order.numpy()]
        return [blocks[at : at + self.together] for at in range(0, len(blocks), self.together)]

    def within(self, window: int, rows: int, seed: int, epoch: int) -> Tensor:
        """The order of the rows of one of the windows, int64 [rows]."""
        if len(self.ends) == 1:
            return batch_order(seed, epoch, rows)
        return torch.randperm(rows, generator=generator(seed, "batches", epoch, window))

    def positions(self, seed: int, epoch: int) -> Tensor:
        """All positions in the order of an epoch, int64 [samples], CPU."""
        if len(self.ends) == 1:
            return batch_order(seed, epoch, self.ends[0])
        parts = [rows_of(window) for window in self.windows(seed, epoch)]
        orders = (self.within(n, len(part), seed, epoch) for n, part in enumerate(parts))
        return torch.cat([part[order] for part, order in zip(parts, orders, strict=True)])


def rows_of(segments: Segments) -> Tensor:
    """The numbers of the rows in these segments, one after the other, int64 [rows]."""
    lengths = segments[:, 1] - segments[:, 0]
    shifts = segments[:, 0] - (np.cumsum(lengths) - lengths)
    return torch.from_numpy(np.repeat(shifts, lengths) + np.arange(lengths.sum()))


def cut(segments: Segments, ends: NDArray[np.int64], first: int, last: int) -> Segments:
    """The segments that hold the rows from position `first` up to `last` of these, one by one.

    ends: the position after the last of each segment.
    """
    if first >= last:
        return segments[:0]
    one, other = np.searchsorted(ends, [first, last - 1], side="right")
    found = segments[one : other + 1].copy()
    found[0, 0] = segments[one, 1] - (ends[one] - first)
    found[-1, 1] = segments[other, 1] - (ends[other] - last)
    return found
