"""Seeded, disjoint splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from activae.data.layout import Segments, cut, rows_of
from activae.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Split:
    """Which of a source's training samples serve as what; each an `[n]` int64 index tensor.

    `test` is None where the source brings a test set, which is then used whole.
    """

    train: Tensor
    val: Tensor
    test: Tensor | None


def split_indices(
    samples: int,
    *,
    has_test: bool,
    val_fraction: float,
    test_fraction: float,
    train_fraction: float,
    seed: int,
) -> Split:
    """Divide the indices 0 to `samples - 1` at random into train, validation and test.

    `train_fraction` changes neither validation nor test, and a smaller one gives a subset of a
    larger one: a learning curve adds samples and never exchanges them.

    Args:
        samples: number of samples to divide (the source's `train`).
        has_test: the source brings its own test set, so none is taken out here and
            `test_fraction` is ignored.
        val_fraction: share of `samples` for validation, in (0, 1).
        test_fraction: share of `samples` for the test, in (0, 1).
        train_fraction: share of what is left to train on, in (0, 1].
        seed: of the shuffle.

    Raises:
        ConfigError: a fraction is out of range or leaves a part without samples.
    """
    sizes = split_sizes(
        samples,
        has_test=has_test,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        train_fraction=train_fraction,
    )
    test, val, train = map(rows_of, split_segments(samples, sizes, seed)[:3])
    return Split(train=train, val=val, test=None if has_test else test)


def split_segments(
    samples: int, sizes: Sequence[int], seed: int, split_rows: int = 1
) -> list[Segments]:
    """Disjoint random parts of so many rows each, and one of those left over.

    split_rows: rows are taken in blocks of so many neighbours, but for the seams between parts.
    """
    starts = np.arange(0, samples, split_rows)
    order = torch.randperm(len(starts), generator=torch.Generator().manual_seed(seed)).numpy()
    starts = starts[order]
    blocks = np.stack([starts, np.minimum(starts + split_rows, samples)], axis=1)
    ends = np.cumsum(blocks[:, 1] - blocks[:, 0])
    seams = [*np.cumsum([0, *sizes]).tolist(), samples]
    return [cut(blocks, ends, first, last) for first, last in pairwise(seams)]


def given_segments(samples: int, val: int) -> list[Segments]:
    """What `split_segments` gives where the last rows are for validation, the others to train."""
    parts = [(0, 0), (samples - val, samples), (0, samples - val), (0, 0)]
    return [np.array([part] if part[1] else [], dtype=np.int64).reshape(-1, 2) for part in parts]


def split_sizes(
    samples: int,
    *,
    has_test: bool,
    val_fraction: float,
    test_fraction: float,
    train_fraction: float,
) -> list[int]:
    """How many of the samples are for test, validation and training, as `split_indices` says."""
    val_size = _part_size("val_fraction", val_fraction, samples)
    test_size = 0 if has_test else _part_size("test_fraction", test_fraction, samples)
    pool_size = samples - val_size - test_size
    return [test_size, val_size, _train_size(train_fraction, samples, pool_size)]


def _part_size(key: str, fraction: float, samples: int) -> int:
    if not 0 < fraction < 1:
        raise ConfigError(f"data.{key}={fraction}: give a share between 0 and 1, such as 0.1.")
    size = round(samples * fraction)
    if size < 1:
        raise ConfigError(
            f"data.{key}={fraction} of {samples} samples leaves none: raise it to "
            f"{1 / samples:.2g} or more, or bring more samples."
        )
    return size


def _train_size(fraction: float, samples: int, pool_size: int) -> int:
    if pool_size < 2:
        raise ConfigError(
            f"data.val_fraction and data.test_fraction leave {max(pool_size, 0)} of {samples} "
            "samples to train on; at least 2 are needed. Lower them or bring more samples."
        )
    if not 0 < fraction <= 1:
        raise ConfigError(
            f"data.train_fraction={fraction}: give a share above 0 and at most 1, such as 0.5."
        )
    size = round(pool_size * fraction)
    if size < 2:
        raise ConfigError(
            f"data.train_fraction={fraction} of {pool_size} training samples leaves {size}; at "
            f"least 2 are needed. Raise it to {2 / pool_size:.2g} or more."
        )
    return size
