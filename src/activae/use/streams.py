"""Batches one after another: what counts as a stream of them, and results that keep pace."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

SKIPPED_ROWS = 1024  # at a time, where rows are passed over

_TABLES = {"pandas": "DataFrame", "anndata": "AnnData"}


def is_stream(x: Any) -> bool:
    """Whether x is a generator or another iterator, or a list of arrays, tables or cells."""
    if isinstance(x, Iterator):
        return True
    return isinstance(x, (list, tuple)) and bool(x) and all(map(_is_batch, x))


def each_in_turn(function: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
    """The results of each batch, when they are asked for."""
    for batch in batches:
        yield function(batch)


class InTurn:
    """Rows that are read from a file in its order: (first, last) to these rows.

    From where it stands it reads on, for earlier rows from the file's beginning.
    """

    def __init__(self, walk: Callable[[], Callable[[int], Any]]) -> None:
        """walk: opens the file, and gives what takes the next rows, so many at each call."""
        self.walk = walk
        self.take: Callable[[int], Any] | None = None
        self.at = 0

    def __call__(self, first: int, last: int) -> Any:
        """The rows from first to last, which is left out; at least one."""
        if self.take is None or first < self.at:
            self.take, self.at = self.walk(), 0
        while self.at < first:
            self.at += len(self.take(min(SKIPPED_ROWS, first - self.at)))
        self.at = last
        return self.take(last - first)


def is_table(x: Any, package: str) -> bool:
    """Whether x is pandas' DataFrame or anndata's AnnData; imports neither."""
    module = sys.modules.get(package)
    return module is not None and isinstance(x, getattr(module, _TABLES[package]))


def _is_batch(x: Any) -> bool:
    is_array = isinstance(x, (np.ndarray, torch.Tensor)) and x.ndim > 0
    return is_array or any(is_table(x, package) for package in _TABLES)
