"""The passes over samples that stay on disk: one before training, and one each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from activae.data.on_disk.rows import DiskSamples, NpyRows, RawRows, Segments, prefetched
from activae.data.on_disk.survey import Survey, Surveyor
from activae.data.source import Source, is_finite, non_finite
from activae.randomness import generator


def split_on_disk(
    source: Source, rows: NpyRows, sizes: list[int], seed: int
) -> dict[str, DiskSamples]:
    """Raw samples of test, val and train, so many each, the last with its survey.

    Reads the file once, from the beginning to the end. Raises DataError for values that are not
    finite or contradict the source's declared range.
    """
    parts = dict(zip(("test", "val", "train"), rows.divide(sizes, seed), strict=True))
    survey = _survey(source, rows, parts["train"])
    return {
        stage: DiskSamples(rows, parts[stage], survey if stage == "train" else None)
        for stage in ("train", "val", "test")
    }


def _survey(source: Source, rows: NpyRows, train: Segments) -> Survey:
    """The training part's statistics, from a pass that checks every value of the file."""
    everything = _Extremes(source.name, rows)
    surveyor = Surveyor()
    pieces = _in_file_order(len(rows), train, rows.block_rows)
    jobs = (partial(rows.read, piece[None, :2]) for piece in pieces)
    for (start, _, is_train), part in zip(pieces.tolist(), prefetched(jobs), strict=True):
        everything.add(start, part)
        if is_train and not everything.bad:
            surveyor.add(part)
    low, high = everything.checked()
    source.check_values(low, high)
    return surveyor.survey()


class _Extremes:
    """The smallest and the largest value so far, and the first that is not finite."""

    def __init__(self, name: str, rows: NpyRows) -> None:
        self.name = name
        self.total = rows.numel()
        self.low, self.high = float("inf"), float("-inf")
        self.bad = 0
        self.first: tuple[float, list[int]] = (0.0, [])

    def add(self, start: int, part: Tensor) -> None:
        low, high = float(part.numpy().min()), float(part.numpy().max())
        if is_finite(low, high):
            self.low, self.high = min(self.low, low), max(self.high, high)
            return
        bad = ~part.float().isfinite()
        if not self.bad:
            place = bad.nonzero()[0].tolist()
            self.first = part[tuple(place)].item(), [start + place[0], *place[1:]]
        self.bad += int(bad.sum())

    def checked(self) -> tuple[float, float]:
        if self.bad:
            raise non_finite(self.name, "training", self.bad, self.total, *self.first)
        return self.low, self.high


def _in_file_order(rows: int, train: Segments, longest: int) -> Segments:
    """[n, 3]: pieces that make up all rows: first, after the last, whether it is for training."""
    train = train[np.argsort(train[:, 0])]
    seams = np.unique(np.concatenate([[0, rows], train.reshape(-1), np.arange(0, rows, longest)]))
    starts, stops = seams[:-1], seams[1:]
    place = np.searchsorted(train[:, 0], starts, side="right") - 1
    is_train = (place >= 0) & (starts < train[np.maximum(place, 0), 1])
    return np.stack([starts, stops, is_train], axis=1)


STEPS_PER_CHUNK = 32


def shuffled(
    samples: DiskSamples, *, seed: int, epoch: int, first: int, limit: int, batch_size: int
) -> Iterator[RawRows]:
    """The rows of an epoch from its place `first`, at most `limit`, raw, several batches at a time.

    Blocks of neighbouring rows are visited in random order, as many at a time as a window holds,
    and the rows of a window in random order: reads are long, and a batch mixes rows of all the
    window's blocks. Each row comes once. The order depends on seed, epoch and the size of the
    window alone. The next window is read while the last one is used.
    """
    left = min(limit, len(samples) - first)
    if left <= 0:
        return
    chunk = _Chunk(samples, batch_size, left)
    for window, order in _windows(samples, seed, epoch, first, first + left):
        for part in order.split(chunk.size):
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
    samples: DiskSamples, seed: int, epoch: int, first: int, last: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Each window that has a row between two places of the epoch, and those rows in their order."""
    rows = samples.rows
    blocks = torch.randperm(len(samples.segments), generator=generator(seed, "batches", epoch))
    segments = samples.segments[blocks.numpy()]
    together = max(1, rows.window_rows // rows.block_rows)
    windows = [segments[at : at + together] for at in range(0, len(segments), together)]
    ends = np.cumsum([_rows_of(window) for window in windows]).tolist()
    needed = [
        number
        for number, window in enumerate(windows)
        if ends[number] > first and ends[number] - _rows_of(window) < last
    ]
    buffers = [rows.buffer(max(_rows_of(windows[number]) for number in needed)) for _ in range(2)]
    jobs = (partial(rows.read, windows[number], buffers[number % 2]) for number in needed)
    for number, window in zip(needed, prefetched(jobs), strict=True):
        order = torch.randperm(len(window), generator=generator(seed, "batches", epoch, number))
        start = ends[number] - len(window)
        yield window, order[max(0, first - start) : last - start]


def _rows_of(segments: Segments) -> int:
    return int((segments[:, 1] - segments[:, 0]).sum())
