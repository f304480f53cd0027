"""What every data set is checked for before it is used."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from activae.data import Source
from activae.errors import DataError

RAMP = torch.arange(12.0).reshape(4, 3)


def with_value(value: float) -> torch.Tensor:
    changed = RAMP.clone()
    changed[2, 1] = value
    return changed


def test_vectors_and_images_are_told_apart_by_their_shape() -> None:
    vectors = Source("v", RAMP)
    images = Source("i", torch.arange(48, dtype=torch.uint8).reshape(3, 1, 4, 4))
    assert (vectors.sample_shape, vectors.is_image) == ((3,), False)
    assert (images.sample_shape, images.is_image) == ((1, 4, 4), True)
    assert images.train.dtype == torch.uint8


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_counted_and_located(value: float) -> None:
    with pytest.raises(DataError, match=r"mine: 1 of 12 training values .* sample 2 .* \[1\]"):
        Source("mine", with_value(value))


def test_values_beyond_float32_count_as_infinite() -> None:
    wide = RAMP.double()
    wide[2, 1] = 1e300
    with pytest.raises(DataError, match=r"1 of 12 .* float32; the first is 1e\+300 in sample 2"):
        Source("mine", wide)


def test_the_test_part_is_checked_too() -> None:
    with pytest.raises(DataError, match="1 of 12 test values are NaN"):
        Source("mine", RAMP, test=with_value(float("nan")))
    with pytest.raises(DataError, match="test values run from 0 to 300, outside"):
        Source("mine", RAMP, test=with_value(300.0), value_range=(0, 12))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": RAMP[:1]}, r"1 training sample\(s\); .* at least 2"),
        ({"train": RAMP[:0]}, r"0 training sample\(s\)"),
        ({"train": RAMP[:, :0]}, r"the training data are empty \(shape \[4, 0\]\)"),
        ({"test": RAMP[:0]}, r"the test data are empty"),
        ({"train": torch.full((4, 3), 7.0)}, r"constant data \(every training value is 7\)"),
        ({"test": RAMP[:, :2]}, r"test samples have shape \[2\], training samples \[3\]"),
        ({"train_labels": torch.zeros(5)}, r"4 training samples but labels of shape \[5\]"),
        ({"test": RAMP, "test_labels": torch.zeros(1)}, "4 test samples but labels"),
        ({"value_range": (0, 10)}, r"run from 0 to 11, outside the declared range \[0, 10\]"),
        ({"value_range": (1, 20)}, "Correct data.value_range"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_says_why(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=f"mine: .*{message}"):
        Source(**({"name": "mine", "train": RAMP} | changes))


def test_data_that_were_already_divided_are_recognised() -> None:
    with pytest.raises(DataError) as caught:
        Source("mine", RAMP / 11, value_range=(0, 255))
    assert "the largest value is 1: the data have already been divided" in str(caught.value)
    assert "Dividing by 255 again would leave targets near zero" in str(caught.value)
    assert "set data.value_range=[0,1]" in str(caught.value)


def test_data_that_were_divided_twice_are_recognised() -> None:
    with pytest.raises(DataError, match=r"fill only 0\.4% of the declared range \[0, 1\]"):
        Source("mine", RAMP / 11 / 255, value_range=(0, 1))


def test_a_narrow_but_plausible_use_of_the_range_is_accepted() -> None:
    Source("dark", RAMP, value_range=(0, 255))
    Source("positive", RAMP / 11, value_range=(-1, 1))


def test_a_bound_that_float32_cannot_hold_is_not_held_against_the_data() -> None:
    assert torch.tensor(0.1).item() > 0.1
    Source("tenths", RAMP / 110, value_range=(0.0, 0.1))
