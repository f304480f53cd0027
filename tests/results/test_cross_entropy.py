import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from activae.errors import DataError
from activae.results.scores import bce_above_floor, bce_floor


def test_binary_data_has_no_floor():
    assert bce_floor(torch.tensor([[0.0, 1.0], [1.0, 1.0]])) == 0


def test_floor_is_one_bit_for_each_grey_pixel():
    assert bce_floor(torch.full((3, 4), 0.5)) == pytest.approx(4 * math.log(2))


def test_floor_is_torchs_bce_of_the_data_with_itself():
    x = torch.rand(700, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    own = F.binary_cross_entropy(x, x, reduction="none").flatten(1).sum(1).mean()
    assert bce_floor(x) == pytest.approx(own.item(), rel=1e-5)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan])
def test_data_outside_the_unit_range_has_no_bce_and_the_error_says_what_to_do(value):
    with pytest.raises(DataError, match=r"\[0, 1\].*normalise"):
        bce_floor(torch.tensor([[0.5, value]]))


def test_bce_above_floor_is_torchs_bce_minus_the_floor():
    generator = torch.Generator().manual_seed(0)
    x, reconstruction = torch.rand(2, 50, 3, 4, generator=generator)
    total = F.binary_cross_entropy(reconstruction, x, reduction="none").flatten(1).sum(1).mean()
    above = bce_above_floor(x, reconstruction).mean()
    assert above.item() == pytest.approx(total.item() - bce_floor(x), rel=1e-4)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_nothing_scores_below_the_floor_and_only_the_data_reach_it(seed):
    generator = torch.Generator().manual_seed(seed)
    x, reconstruction = torch.rand(2, 4, 6, generator=generator, dtype=torch.float64)
    assert (bce_above_floor(x, reconstruction) > 0).all()
    assert bce_above_floor(x, x).abs().max() < 1e-6


def test_a_certain_but_wrong_pixel_costs_what_keras_charges():
    x, wrong = torch.tensor([[1.0]]), torch.tensor([[-3.0]])
    assert bce_above_floor(x, wrong).item() == pytest.approx(-math.log(1e-7), rel=1e-6)


@pytest.mark.mnist
def test_mnists_floor(mnist):
    train, test = mnist
    assert bce_floor(train) == pytest.approx(45.757, abs=5e-4)
    assert bce_floor(test) == pytest.approx(45.534, abs=5e-4)
