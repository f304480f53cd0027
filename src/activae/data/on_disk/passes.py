"""The passes over samples that stay on disk: one before training, and one each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod

import numpy as np
import torch
from torch import Tensor

from activae.data.layout import EpochOrder, Segments, rows_of
from activae.data.on_disk.rows import DiskSamples, NpyRows, RawRows, prefetched
from activae.data.on_disk.survey import Survey, Surveyor, chunk_rows
from activae.data.source import Source, is_finite, non_finite

STEPS_PER_CHUNK = 32


def split_on_disk(
    source: Source, rows: NpyRows, segments: list[Segments]
) -> dict[str, DiskSamples]:
    """Raw samples of train, with its survey, val and test.

    segments: of test, val, train and what is not used.

    Reads each row once. Raises DataError for values that are not finite or contradict the source's
    declared range.
    """
    parts = {
        stage: DiskSamples(rows, its)
        for stage, its in zip(("test", "val", "train", "unused"), segments, strict=True)
    }
    parts["train"].survey = _survey(source, rows, parts)
    return {stage: parts[stage] for stage in ("train", "val", "test")}


def _survey(source: Source, rows: NpyRows, parts: dict[str, DiskSamples]) -> Survey:
    """The training part's statistics, from a pass that checks every value of the file.

    The sums are taken in the order of the part, as in memory: they agree to the last bit.
    """
    everything = _Extremes(source.name, rows)
    surveyor = Surveyor()
    chunk = chunk_rows(prod(rows.shape[1:]))
    size = chunk * max(1, rows.layout.block_rows // chunk)
    pieces = (
        partial(_read_piece, stage, part, first, min(len(part), first + size))
        for stage, part in parts.items()
        for first in range(0, len(part), size)
    )
    for stage, segments, values in prefetched(pieces):
        everything.add(segments, values)
        if stage == "train" and not everything.bad:
            surveyor.add(rows.altered(values, segments))
    low, high = everything.checked()
    source.check_values(low, high)
    return surveyor.survey()


def _read_piece(
    stage: str, part: DiskSamples, first: int, last: int
) -> tuple[str, Segments, Tensor]:
    segments = part.between(first, last)
    return stage, segments, part.rows.read_unaltered(segments)


class _Extremes:
    """The smallest and the largest value so far, and the first of the file that is not finite."""

    def __init__(self, name: str, rows: NpyRows) -> None:
        self.name = name
        self.total = rows.numel()
        self.low, self.high = float("inf"), float("-inf")
        self.bad = 0
        self.value, self.place = 0.0, [len(rows)]

    def add(self, segments: Segments, part: Tensor) -> None:
        low, high = float(part.numpy().min()), float(part.numpy().max())
        if is_finite(low, high):
            self.low, self.high = min(self.low, low), max(self.high, high)
            return
        bad = (~part.float().isfinite()).nonzero()
        numbers = rows_of(segments)[bad[:, 0]]
        first = bad[numbers.argmin()].tolist()
        place = [int(numbers.min()), *first[1:]]
        if place < self.place:
            self.value, self.place = part[tuple(first)].item(), place
        self.bad += len(bad)

    def checked(self) -> tuple[float, float]:
        if self.bad:
            raise non_finite(self.name, "training", self.bad, self.total, self.value, self.place)
        return self.low, self.high


def shuffled(
    samples: DiskSamples,
    order: EpochOrder,
    *,
    seed: int,
    epoch: int,
    first: int,
    limit: int,
    batch_size: int,
) -> Iterator[RawRows]:
    """The rows of an epoch from its place `first`, at most `limit`, raw, several batches at a time.

    Reads are long because blocks are, and a batch mixes rows of all blocks of a window. The next
    window is read while the last one is used.
    """
    left = min(limit, len(samples) - first)
    if left <= 0:
        return
    chunk = _Chunk(samples, batch_size, left)
    for window, places in _windows(samples, order, seed, epoch, first, first + left):
        for part in places.split(chunk.size):
            taken = 0
            while taken < len(part):
                taken += chunk.fill(window, part[taken:])
                if chunk.is_full:
                    yield chunk.take()


class _Chunk:
    """Collects rows until there are as many as are handed on at once: whole batches, if any."""

    def __init__(self, samples: DiskSamples, batch_size: int, left: int) -> None:
        batches = max(1, samples.rows_in_a_part(batch_size * STEPS_PER_CHUNK) // batch_size)
        self.size = batches * batch_size
        self.left = left
        self.shape = samples.shape[1:]
        self.dtype = samples.rows.dtype
        self.pinned = samples.is_cuda
        self._begin()

    def _begin(self) -> None:
        rows = min(self.size, self.left)
        self.values = torch.empty(rows, *self.shape, dtype=self.dtype, pin_memory=self.pinned)
        self.filled = 0

    @property
    def is_full(self) -> bool:
        return self.filled == len(self.values)

    def fill(self, window: Tensor, order: Tensor) -> int:
        """Add the window's rows in this order, as many as there is room for; returns how many."""
        order = order[: len(self.values) - self.filled]
        end = self.filled + len(order)
        torch.index_select(window, 0, order, out=self.values[self.filled : end])
        self.filled = end
        return len(order)

    def take(self) -> RawRows:
        full, self.left = self.values, self.left - len(self.values)
        self._begin()
        return RawRows(full)


def _windows(
    samples: DiskSamples, order: EpochOrder, seed: int, epoch: int, first: int, last: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each window that has a row between two places of the epoch, and those rows in their order."""
    windows = order.windows(seed, epoch)
    sizes = [int((window[:, 1] - window[:, 0]).sum()) for window in windows]
    ends = np.cumsum(sizes).tolist()
    needed = [
        number for number, end in enumerate(ends) if end > first and end - sizes[number] < last
    ]
    buffers = [samples.rows.buffer(max(sizes[number] for number in needed)) for _ in needed[:2]]

    def read(turn: int, number: int) -> Tensor:
        segments = [samples.between(*block) for block in windows[number].tolist()]
        return samples.rows.read(np.concatenate(segments), buffers[turn % 2])

    jobs = (partial(read, *each) for each in enumerate(needed))
    for number, window in zip(needed, prefetched(jobs), strict=True):
        places = order.within(number, len(window), seed, epoch)
        start = ends[number] - len(window)
        yield window, places[max(0, first - start) : last - start]
