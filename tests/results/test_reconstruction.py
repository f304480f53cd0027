import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from activae.results.pca import PCA
from activae.results.scores import (
    ReconstructionScores,
    bce_above_floor,
    reconstruction_scores,
)

KEYS = ["SE", "MSE", "BCE", "PSNR", "SSIM", "explained_variance"]


def test_scores_of_a_case_worked_by_hand():
    x = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    reconstruction = torch.tensor([[0.5, 0.5], [1.0, 0.8]])
    scores = reconstruction_scores(
        x, reconstruction, train_mean=torch.tensor([0.5, 1.0]), value_span=1.0, is_image=False
    )
    assert list(scores) == KEYS
    assert scores["SE"] == pytest.approx((0.5 + 0.04) / 2)
    assert scores["MSE"] == pytest.approx(0.135)
    assert scores["BCE"] == pytest.approx((2 * math.log(2) - math.log(0.8)) / 2, rel=1e-5)
    assert scores["PSNR"] == pytest.approx(-10 * math.log10(0.135))
    assert scores["SSIM"] is None
    assert scores["explained_variance"] == pytest.approx(1 - 0.27 / 0.25)


@st.composite
def _splits_into_batches(draw):
    total = draw(st.integers(1, 600))
    cuts = draw(st.lists(st.integers(1, total), max_size=5))
    bounds = sorted({0, total, *cuts})
    return total, [b - a for a, b in pairwise(bounds)]


@settings(deadline=None, max_examples=30)
@given(_splits_into_batches(), st.booleans())
def test_batches_of_any_sizes_score_like_the_whole(split, unit_range):
    total, sizes = split
    generator = torch.Generator().manual_seed(total)
    x, reconstruction = torch.rand(2, total, 1, 8, 8, generator=generator)
    if not unit_range:
        x = 3 * x + 1.5  # all of it outside
    about = {"train_mean": x.mean(0) / 2, "value_span": 3.0, "is_image": True}
    scores = ReconstructionScores(**about)
    for batch in zip(x.split(sizes), reconstruction.split(sizes), strict=True):
        scores.update(*batch)
    whole = reconstruction_scores(x, reconstruction, **about)
    for key, value in scores.compute().items():
        assert value == (whole[key] if whole[key] is None else pytest.approx(whole[key], rel=1e-5))
    assert (whole["BCE"] is None) is not unit_range


def test_one_value_outside_the_unit_range_takes_bce_away_from_the_whole_split():
    scores = ReconstructionScores(train_mean=torch.zeros(3), value_span=1.0, is_image=False)
    for x in (torch.rand(4, 3), torch.full((4, 3), 1.5), torch.rand(4, 3)):
        scores.update(x, torch.rand(4, 3))
    assert scores.compute()["BCE"] is None


def test_bce_is_the_mean_above_the_floor(digits):
    reconstruction = digits.clamp(0.1, 0.9)
    scores = _score(digits, reconstruction)
    expected = bce_above_floor(digits, reconstruction).mean().item()
    assert scores["BCE"] == pytest.approx(expected, rel=1e-5)


def test_a_perfect_reconstruction(digits):
    scores = _score(digits, digits.clone())
    assert scores["SE"] == scores["MSE"] == 0
    assert scores["BCE"] == pytest.approx(0, abs=1e-4)
    assert scores["PSNR"] == math.inf
    assert scores["SSIM"] == pytest.approx(1)
    assert scores["explained_variance"] == 1


def test_the_training_mean_explains_nothing(digits):
    train, test = digits[:1000], digits[1000:]
    reconstruction = train.mean(0).expand_as(test)
    scores = reconstruction_scores(
        test, reconstruction, train_mean=train.mean(0), value_span=1.0, is_image=True
    )
    assert scores["explained_variance"] == pytest.approx(0)


def test_a_split_equal_to_the_training_mean_has_no_variance_to_explain():
    x = torch.full((3, 2), 0.5)
    scores = reconstruction_scores(x, x, train_mean=x[0], value_span=1.0, is_image=False)
    assert scores["explained_variance"] is None


@pytest.mark.parametrize("side", [1, 2])
def test_images_too_small_for_a_window_have_no_ssim(side):
    x = torch.rand(3, 1, side, side, generator=torch.Generator().manual_seed(0))
    assert _score(x, x / 2)["SSIM"] is None


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_diverged_reconstruction_is_scored_not_refused(digits, value):
    scores = _score(digits, torch.full_like(digits, value))
    assert not scores["SE"] < 1e6
    assert not scores["PSNR"] > 0
    assert not scores["explained_variance"] > 0


def test_long_splits_lose_no_digits():
    # 0.1 added 20,000 times in float32 is off by 1e-4 of the sum.
    x = torch.zeros(20_000, 1)
    reconstruction = torch.full_like(x, math.sqrt(0.1))
    scores = reconstruction_scores(
        x, reconstruction, train_mean=torch.ones(1), value_span=1.0, is_image=False
    )
    assert scores["SE"] == pytest.approx(0.1, rel=1e-7)


def test_half_precision_reconstructions_are_scored_in_single_precision(digits):
    half = (digits * 0.7).bfloat16()
    assert _score(digits, half) == pytest.approx(_score(digits, half.float()), rel=1e-6)


@pytest.mark.mnist
@pytest.mark.parametrize(("dim", "se"), [(16, 21.06), (30, 13.866), (32, 13.19), (64, 7.09)])
def test_pca_of_mnist(mnist, mnist_pca, dim, se):
    train, test = mnist
    scores = reconstruction_scores(
        test,
        mnist_pca.reconstruct(test, dim),
        train_mean=train.mean(0),
        value_span=1.0,
        is_image=True,
    )
    assert scores["SE"] == pytest.approx(se, abs=5e-4 if dim == 30 else 5e-3)


@pytest.fixture(scope="module")
def mnist_pca(mnist):
    return PCA.fit(mnist[0])


def _score(x, reconstruction):
    return reconstruction_scores(
        x, reconstruction, train_mean=x.float().mean(0), value_span=1.0, is_image=True
    )
