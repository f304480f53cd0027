"""Samples that are read when they are needed: files larger than memory can be compressed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from activae.use.compression.coder import BLOCK

HELD_BYTES = 1 << 28  # samples that take no more stay in memory: reading again takes time
BLOCK_BYTES = 1 << 28  # of float64, that are computed on at a time


class Rows(Protocol):
    """What an array of rows offers: rows[first:last], rows[numbers in order], len(rows)."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: Any, /) -> Any: ...


@dataclass(frozen=True)
class ReadRows:
    """So many rows, of which `read(first, last)` makes an array of some."""

    count: int
    read: Callable[[int, int], np.ndarray]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, which: Any, /) -> np.ndarray:
        if isinstance(which, slice):
            first, last, _ = which.indices(self.count)
            return self.read(first, last)
        return np.concatenate([self.read(number, number + 1) for number in map(int, which)])


def held_if_small(rows: Rows) -> Rows:
    """The rows in memory, where they take at most HELD_BYTES; otherwise as they are."""
    first = rows[0:1]
    return rows[0 : len(rows)] if first.nbytes * len(rows) <= HELD_BYTES else rows


def blocks(count: int, values: int) -> Iterator[slice]:
    """Rows of so many values each, some of which fit into BLOCK_BYTES; BLOCK of them at most."""
    together = min(BLOCK, max(1, BLOCK_BYTES // (8 * values)))
    for first in range(0, count, together):
        yield slice(first, min(first + together, count))
