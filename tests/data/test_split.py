"""Splits are seeded, disjoint and complete; smaller training sets are nested in larger ones."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from activae.data import Split, split_indices
from activae.errors import ConfigError

DEFAULTS: dict[str, Any] = {
    "has_test": False,
    "val_fraction": 0.1,
    "test_fraction": 0.2,
    "train_fraction": 1.0,
    "seed": 0,
}
fractions = st.floats(0.01, 0.6)
sizes = st.integers(4, 500)


def split(samples: int, **changes: Any) -> Split:
    return split_indices(samples, **(DEFAULTS | changes))


def parts(result: Split) -> list[list[int]]:
    tensors = [result.train, result.val] + ([] if result.test is None else [result.test])
    return [tensor.tolist() for tensor in tensors]


def assume_possible(samples: int, val: float, test: float) -> None:
    taken = round(samples * val), round(samples * test)
    assume(min(taken) >= 1 and samples - sum(taken) >= 2)


@settings(deadline=None)
@given(sizes, fractions, fractions, st.booleans(), st.integers(0, 2**32))
def test_every_sample_is_in_exactly_one_part(
    samples: int, val: float, test: float, has_test: bool, seed: int
) -> None:
    assume_possible(samples, val, test)
    result = split(samples, val_fraction=val, test_fraction=test, has_test=has_test, seed=seed)
    assert sorted(chain.from_iterable(parts(result))) == list(range(samples))
    assert all(parts(result))


@settings(deadline=None)
@given(sizes, st.lists(st.floats(0.3, 1.0), min_size=2, max_size=2))
def test_a_smaller_training_fraction_is_the_start_of_a_larger_one(
    samples: int, shares: list[float]
) -> None:
    assume_possible(samples, 0.2, 0.2)
    assume(round(round(0.5 * samples) * min(shares)) >= 2)
    small, large = (
        split(samples, val_fraction=0.2, test_fraction=0.2, train_fraction=share)
        for share in sorted(shares)
    )
    assert large.train[: len(small.train)].tolist() == small.train.tolist()
    assert parts(small)[1:] == parts(large)[1:]


def test_sizes_follow_the_fractions() -> None:
    assert [len(part) for part in parts(split(1000, train_fraction=0.5))] == [350, 100, 200]


def test_a_source_with_its_own_test_set_gives_none_away() -> None:
    result = split(1000, has_test=True, test_fraction=0.9)
    assert result.test is None
    assert [len(part) for part in parts(result)] == [900, 100]


def test_the_seed_alone_decides_the_split() -> None:
    first = split(50)
    torch.rand(3)
    assert parts(split(50)) == parts(first)
    assert parts(split(50, seed=1)) != parts(first)
    assert parts(first)[0] != sorted(parts(first)[0])


@pytest.mark.parametrize("key", ["val_fraction", "test_fraction", "train_fraction"])
@pytest.mark.parametrize("value", [0.0, -0.1, 1.5, float("nan")])
def test_a_fraction_out_of_range_names_its_key(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"data\.{key}={value}"):
        split(100, **{key: value})


@pytest.mark.parametrize(
    ("samples", "changes", "message"),
    [
        (4, {}, r"data\.val_fraction=0\.1 of 4 samples leaves none: raise it to 0\.25"),
        (100, {"test_fraction": 0.001}, r"data\.test_fraction=0\.001 of 100 samples leaves none"),
        (100, {"val_fraction": 0.6, "test_fraction": 0.6}, "leave 0 of 100 samples to train on"),
        (10, {"train_fraction": 0.1}, r"data\.train_fraction=0\.1 of 7 .* leaves 1; .* 0\.29"),
    ],
)
def test_a_part_left_without_samples_names_the_key(
    samples: int, changes: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        split(samples, **changes)
