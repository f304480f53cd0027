"""Splitting rows that stay on disk, and the one pass over them that is made before training."""

from __future__ import annotations

from functools import partial

import numpy as np
from torch import Tensor

from activae.data.on_disk.prefetch import prefetched
from activae.data.on_disk.rows import DiskSamples, NpyRows, Segments
from activae.data.on_disk.survey import Survey, Surveyor
from activae.data.source import Source, is_finite, non_finite


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
