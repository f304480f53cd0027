"""Uniform noise, the negative control."""

from __future__ import annotations

import pytest
import torch

from activae.data import random_noise
from activae.errors import ConfigError


def test_noise_is_uniform_on_the_unit_interval() -> None:
    source = random_noise(samples=1000, features=784, seed=0)
    assert source.train.shape == (1000, 784)
    assert source.value_range == (0, 1)
    assert source.train.mean() == pytest.approx(0.5, abs=2e-3)
    assert source.train.var() == pytest.approx(1 / 12, abs=1e-3)
    assert not source.is_image


def test_the_seed_decides_the_noise_and_the_global_generator_does_not() -> None:
    first = random_noise(10, 4, seed=1).train
    torch.rand(3)
    assert torch.equal(first, random_noise(10, 4, seed=1).train)
    assert not torch.equal(first, random_noise(10, 4, seed=2).train)


def test_the_note_says_what_share_of_the_variance_a_code_can_keep() -> None:
    features, dim = 40, 10
    source = random_noise(samples=20_000, features=features, seed=0)
    assert f"k/{features} of the variance" in source.note
    seen, unseen = source.train.split(10_000)
    axes = torch.linalg.eigh(seen.T.cov()).eigenvectors[:, -dim:]
    centred = unseen - seen.mean(0)
    kept = (centred @ axes).square().sum() / centred.square().sum()
    assert kept == pytest.approx(dim / features, abs=0.01)


@pytest.mark.parametrize(("key", "value"), [("samples", 1), ("features", 0)])
def test_sizes_that_are_too_small_name_their_key(key: str, value: int) -> None:
    sizes = {"samples": 10, "features": 4} | {key: value}
    with pytest.raises(ConfigError, match=rf"data\.source\.{key}={value}"):
        random_noise(**sizes, seed=0)
