import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from activae.results.diagnostics import effective_rank


def gaussian(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def with_singular_values(values):
    """Centred codes [N, k] with these singular values."""
    noise = gaussian(40, len(values))
    left, _, right = torch.linalg.svd(noise - noise.mean(0), full_matrices=False)
    return left * torch.tensor(values) @ right


@pytest.mark.parametrize("dims", [1, 2, 5])
def test_equal_singular_values_count_each_dimension(dims):
    codes = with_singular_values([2.0] * dims + [0.0] * 3)
    assert effective_rank(codes) == pytest.approx(dims)


def test_unequal_singular_values_by_the_papers_formula():
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(with_singular_values([3.0, 1.0])) == pytest.approx(math.exp(entropy))


@settings(deadline=None, max_examples=30)
@given(st.integers(3, 40), st.integers(2, 10), st.integers(0, 2**32))
def test_lies_between_one_and_the_rank_whatever_the_unit_place_and_rotation(samples, dims, seed):
    codes = gaussian(samples, dims, seed=seed)
    rank = effective_rank(codes)
    assert 1 <= rank <= min(samples - 1, dims) + 1e-9
    rotation, _ = torch.linalg.qr(gaussian(dims, dims, seed=seed + 1))
    moved = 1e-3 * codes @ rotation + 5
    assert effective_rank(moved) == pytest.approx(rank, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_codes_that_are_all_equal_use_no_dimension(value, dtype):
    assert effective_rank(torch.full((7, 4), value, dtype=dtype)) == 0


def test_one_sample_uses_no_dimension():
    assert effective_rank(torch.tensor([[1.0, 2.0]])) == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_codes_that_are_not_finite_have_no_rank(value):
    codes = gaussian(5, 3)
    codes[2, 1] = value
    assert math.isnan(effective_rank(codes))
