"""Distances of two sets of points, beside code that others wrote and plain NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from activae.results.samples.statistics import (
    GROUPS,
    Balls,
    Figure,
    by_neighbours,
    frechet,
    kernel_distance,
    label_figures,
    nearest,
    ratio,
    resampled,
    share,
    sliced_wasserstein,
)


def points(n: int, d: int = 6, *, seed: int = 0, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=noise) * scale + shift


MADE, REAL = points(130, shift=0.5, scale=1.2), points(150, seed=1)


class Flat(nn.Module):
    """A network of torchmetrics' kind, whose features are the points themselves."""

    num_features = 6

    def forward(self, x: Tensor) -> Tensor:
        return x


class TestBesideTorchmetrics:
    def test_the_frechet_distance_is_theirs(self) -> None:
        from torchmetrics.image.fid import FrechetInceptionDistance

        theirs = FrechetInceptionDistance(feature=Flat(), normalize=True).set_dtype(torch.float64)
        theirs.update(REAL.double(), real=True)
        theirs.update(MADE.double(), real=False)

        assert frechet(MADE, REAL).value == pytest.approx(theirs.compute().item(), rel=1e-6)

    @pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
    def test_the_kernel_distance_is_theirs(self) -> None:
        from torchmetrics.image.kid import KernelInceptionDistance

        made, real = MADE[:130], REAL[:130]
        theirs = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=130, normalize=True)
        theirs.update(real, real=True)
        theirs.update(made, real=False)

        assert kernel_distance(made, real).value == pytest.approx(
            theirs.compute()[0].item(), rel=1e-5
        )


def test_frechet_of_few_points_or_one_dimension_is_a_number() -> None:
    assert frechet(MADE[:40, :1], REAL[:40, :1]).value > 0
    a, b = MADE[:, :1].double(), REAL[:, :1].double()
    wanted = (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2

    assert frechet(a, b).value == pytest.approx(wanted.item())
    assert frechet(points(40, 90), points(40, 90, seed=1)).value > 0
    assert frechet(REAL, REAL).value == pytest.approx(0, abs=1e-9)
    assert frechet(points(40, 513), points(40, 513, seed=1)).low is None


def distances(a: Tensor, b: Tensor) -> np.ndarray:
    return np.linalg.norm(a.double().numpy()[:, None] - b.double().numpy()[None], axis=2)


def test_neighbours_agree_with_every_pair_looked_at() -> None:
    k = 5
    found = by_neighbours(Balls.around(MADE), Balls.around(REAL))

    real, made = (np.sort(distances(x, x), 1)[:, k] for x in (REAL, MADE))
    across = distances(REAL, MADE)
    inside = across <= real[:, None]
    wanted = {
        "precision": inside.any(0).mean(),
        "recall": (across <= made[None]).any(1).mean(),
        "density": inside.sum() / (k * len(MADE)),
        "coverage": inside.any(1).mean(),
    }
    assert {name: found[name].value for name in wanted} == pytest.approx(wanted)


def test_one_nn_agrees_with_scikit_learn() -> None:
    together = torch.cat((MADE, REAL)).numpy()
    is_real = np.arange(len(together)) >= len(MADE)
    (_, second) = NearestNeighbors(n_neighbors=2).fit(together).kneighbors(together)[1].T

    found = by_neighbours(Balls.around(MADE), Balls.around(REAL))

    assert found["one_nn"].value == pytest.approx((is_real == is_real[second]).mean())


def test_more_points_than_are_in_memory_at_a_time_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def everything() -> dict[str, Figure]:
        return by_neighbours(Balls.around(MADE), Balls.around(REAL))

    at_once = everything()
    monkeypatch.setattr("activae.results.samples.statistics._ROWS", 7)

    assert everything() == at_once


def test_equal_sets_cannot_be_told_apart_and_distant_ones_always() -> None:
    near = by_neighbours(Balls.around(points(400)), Balls.around(points(400, seed=1)))
    far = by_neighbours(Balls.around(points(400)), Balls.around(points(400, seed=1, shift=90)))

    assert 0.4 < near["one_nn"].value < 0.6
    assert 0.8 < near["density"].value < 1.2
    assert {name: far[name].value for name in far} == {
        **dict.fromkeys(("precision", "recall", "density", "coverage"), 0.0),
        "one_nn": 1.0,
    }


def test_sliced_wasserstein_of_one_dimension_is_the_distance_of_sorted_points() -> None:
    a, b = points(90, 1), points(90, 1, seed=1, shift=2)
    wanted = (a.sort(0).values - b.sort(0).values).square().mean().sqrt()

    assert sliced_wasserstein(a, b).value == pytest.approx(wanted.item(), rel=1e-5)


def test_sliced_wasserstein_of_a_shift_is_its_length_by_the_root_of_the_dimension() -> None:
    a = points(200, 50)
    shift = torch.full((50,), 3.0)

    found = sliced_wasserstein(a, a + shift)

    assert found.value == pytest.approx(3, rel=0.2)  # |shift| / sqrt(50), on average
    assert found == sliced_wasserstein(a, a + shift)
    assert found != sliced_wasserstein(a, a + shift, seed=1)


@pytest.mark.parametrize("statistic", [frechet, kernel_distance, sliced_wasserstein])
def test_intervals_are_as_wide_as_figures_vary(statistic: object) -> None:
    """Over 60 pairs of fresh samples the half width is near twice their standard deviation."""
    assert callable(statistic)
    found = [
        statistic(points(200, 3, seed=2 * n, shift=1), points(200, 3, seed=2 * n + 1))
        for n in range(60)
    ]
    spread = np.std([each.value for each in found])
    half = np.median([(each.high - each.low) / 2 for each in found])

    assert 0.7 * 2.093 < half / spread < 1.5 * 2.093


@pytest.mark.parametrize("statistic", [kernel_distance, sliced_wasserstein])
def test_leaving_groups_out_by_sums_is_leaving_them_out(statistic: object) -> None:
    assert callable(statistic)
    made, real = MADE[:120], REAL[:120]

    wanted = resampled(lambda a, b: statistic(a, b).value, made, real)

    found = statistic(made, real)
    assert (found.value, found.low, found.high) == pytest.approx(
        (wanted.value, wanted.low, wanted.high), rel=1e-4
    )


def test_a_jackknife_of_a_mean_is_students_interval() -> None:
    values = points(GROUPS, 1, seed=3)[:, 0]

    found = resampled(lambda a: a.double().mean().item(), values)

    half = 2.093 * (values.double().var() / GROUPS).sqrt().item()
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


@pytest.mark.parametrize("ones", [0, 1, 30, 99, 100])
def test_the_interval_of_a_share_is_wilsons_and_stays_a_share(ones: int) -> None:
    values = (torch.arange(100) < ones).float()

    found = share(values)

    wanted = stats.binomtest(ones, 100).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-5)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.03


def test_no_interval_holds_what_cannot_be() -> None:
    near = by_neighbours(Balls.around(points(40, seed=1)), Balls.around(points(40, shift=3)))
    for name, found in near.items():
        assert found.low is not None
        assert found.high is not None
        assert 0 <= found.low <= found.value <= found.high
        assert name == "density" or found.high <= 1
    for found in (
        sliced_wasserstein(points(40), points(40, seed=1)),
        frechet(points(40), points(40, seed=1, scale=1e-3)),
        ratio(torch.tensor([0.0] * 39 + [9.0]), torch.ones(40)),
    ):
        assert found.low is not None
        assert found.low >= 0
    labels = label_figures(torch.arange(20) % 3, torch.arange(30) % 3)["label_entropy"]
    assert labels.high == pytest.approx(np.log(3))


def test_copies_lie_on_what_they_are_copies_of() -> None:
    among = points(3000, 40) + 100  # far from zero, where products lose digits

    assert (nearest(among[7:50], among) == 0).all()
    own = torch.arange(7, 50)
    wanted = np.sort(distances(among[7:50], among), 1)[:, 1]
    assert np.allclose(nearest(among[7:50], among, own).numpy(), wanted)
    assert ratio(torch.zeros(40), torch.ones(40)) == Figure(0, 0, 0)


def test_labels_that_are_missing_or_rare_are_not_covered() -> None:
    real = torch.arange(1000) % 10
    made = torch.cat((torch.zeros(995), torch.ones(5))).long()

    found = label_figures(made, real)

    assert found["label_coverage"].value == pytest.approx(0.1)
    assert found["label_entropy"].value == pytest.approx(0.0314, abs=1e-3)
    assert label_figures(real, real)["label_entropy"].value == pytest.approx(np.log(10))
    assert label_figures(real, real)["label_coverage"].value == 1


def test_nothing_but_the_points_matters() -> None:
    """Neither their order in memory nor their type, and they stay as they were."""
    before = MADE.clone()
    for statistic, wide in product((frechet, kernel_distance), (False, True)):
        given = MADE.T.contiguous().T.double() if wide else MADE.T.contiguous().T
        real = REAL.to(given.dtype)
        assert statistic(given, real).value == pytest.approx(statistic(MADE, REAL).value, rel=1e-5)
    assert MADE.equal(before)
