"""Evidence that may be looked at after every seed, and who leaves a race by it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from activae.compare.race.evidence import capital, standing
from activae.compare.statistics import Array

INF, NAN = np.inf, np.nan
ALPHA = 0.05

# The scores of conditions that do not differ: their differences are symmetric.
NOISES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "lognormal": lambda rng, shape: rng.lognormal(0, 0.7, shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape),
}


def at_end(*d: float) -> float:
    """The capital after these differences."""
    return float(np.exp(capital(np.array(d)[:, None])[-1, 0]))


def mixture(*d: float) -> float:
    """The density of the t-test mixture, summed over a grid of delta > 0 and log sigma."""
    delta, sigma = np.meshgrid(np.arange(0.005, 8, 0.01), np.exp(np.arange(-6, 8, 0.01)))
    density = np.exp(-0.5 * delta**2)
    for x in d:
        density = density * np.exp(-0.5 * (x / sigma - delta) ** 2) / sigma
    return float(density.sum())


class TestCapital:
    def test_the_stake_is_what_the_t_test_mixture_expects(self) -> None:
        before, last = (0.7, -0.2, 1.1), 0.9
        up, down = mixture(*before, last), mixture(*before, -last)
        gained = at_end(*before, last) / at_end(*before)
        assert gained == pytest.approx(2 * up / (up + down), rel=1e-4)

    def test_the_first_seed_wins_or_loses_a_half(self) -> None:
        assert (at_end(3), at_end(-3)) == pytest.approx((1.5, 0.5))

    @pytest.mark.parametrize("sizes", [(1, 2, 0.1, 5, 1, 40, 3), (1, INF, 2, INF, INF, 0, 1)])
    def test_is_a_fair_game_whatever_the_sizes(self, sizes: tuple[float, ...]) -> None:
        flips = np.array(list(product((1.0, -1.0), repeat=len(sizes)))).T
        with np.errstate(invalid="ignore"):
            d = flips * np.array(sizes)[:, None]
        assert np.exp(capital(d)).mean(1) == pytest.approx(np.ones(len(sizes)))

    def test_loses_on_average_where_plus_is_less_likely(self) -> None:
        flips = np.array(list(product((1.0, -1.0), repeat=6))).T
        likely = np.where(flips > 0, 0.4, 0.6).prod(0)
        grown = (likely * np.exp(capital(flips * np.arange(1, 7)[:, None]))).sum(1)
        assert (np.diff([1, *grown]) < 0).all()

    def test_no_seed_more_than_doubles_it(self) -> None:
        d = np.array([1.0, 1.1, 0.9, 1e9, 1.0, INF])[:, None]
        assert (np.diff(capital(d), axis=0) < np.log(2)).all()

    def test_has_no_unit(self) -> None:
        d = np.array([1.0, -0.4, 2.0, 1.5])
        for unit in (1e-200, 1e200):
            assert at_end(*(d * unit)) == pytest.approx(at_end(*d))

    def test_ties_and_missing_seeds_change_nothing(self) -> None:
        log = capital(np.array([1.0, NAN, 0.0, 2.0])[:, None])[:, 0]
        assert log[0] == log[1] == log[2] < log[3]
        assert at_end(1, NAN, 2) == pytest.approx(at_end(1, 2))
        assert at_end(NAN, NAN) == at_end(0, 0) == 1

    def test_the_sign_of_infinite_ones_is_learnt_from_those_before(self) -> None:
        assert at_end(INF, INF, INF) == pytest.approx(3 / 2 * 5 / 3 * 7 / 4)
        assert at_end(-INF, INF, -INF) == pytest.approx(1 / 2 * 1 * 3 / 4)
        assert at_end(1, INF, 2) == pytest.approx(1.5 * at_end(1, 2))

    def test_many_equal_differences_are_no_trouble(self) -> None:
        assert np.isfinite(capital(np.ones((500, 1)))).all()
        assert np.isfinite(capital(-np.ones((500, 1)))).all()


def scores_of(seeds: int, *means: float, seed: int = 0) -> Array:
    noise = np.random.default_rng(seed).standard_normal((seeds, len(means)))
    return noise / np.sqrt(2) + means


class TestStanding:
    def test_who_is_worse_leaves_and_it_is_said_by_what(self) -> None:
        found = standing(scores_of(12, 0, 0.1, 4))
        assert found.still_in == [0, 1]
        assert 5 <= found.left[2] <= 9
        assert found.evidence[2] >= 1 / ALPHA > found.evidence[:2].max()
        assert found.rival[2] in (0, 1)

    def test_the_evidence_is_the_mean_over_rivals(self) -> None:
        scores = scores_of(4, 0, 0.5, 1)
        each = [np.exp(capital(scores[:, [2]] - scores[:, [j]])[-1, 0]) for j in (0, 1)]
        assert standing(scores).evidence[2] == pytest.approx(np.mean(each))

    def test_is_the_same_however_often_one_looks(self) -> None:
        scores = scores_of(40, 0, 0.3, 0.7, 1.5, 3)
        whole = standing(scores)
        assert (whole.left > 0).sum() >= 3
        for seeds in range(1, 40):
            found = standing(scores[:seeds])
            assert (found.left == np.where(whole.left <= seeds, whole.left, 0)).all()

    def test_what_is_scored_after_leaving_counts_for_nobody(self) -> None:
        scores = scores_of(30, 0, 0.2, 3)
        whole = standing(scores)
        scores[whole.left[2] :, 2] = NAN
        cut = standing(scores)
        assert (cut.left == whole.left).all()
        assert cut.evidence == pytest.approx(whole.evidence)

    def test_one_that_always_diverges_leaves(self) -> None:
        found = standing(np.column_stack([np.arange(6.0), np.full(6, INF)]))
        assert found.left.tolist() == [0, 6]

    def test_who_diverges_alike_stays(self) -> None:
        assert standing(np.full((40, 3), INF)).still_in == [0, 1, 2]

    def test_the_same_under_two_names_stays(self) -> None:
        scores = np.repeat(scores_of(60, 0), 2, axis=1)
        assert standing(scores).still_in == [0, 1]

    def test_somebody_is_always_left(self) -> None:
        for seed in range(20):
            assert standing(scores_of(12, 0, 0, 0, seed=seed), alpha=0.9).still_in

    def test_one_without_a_run_stays(self) -> None:
        scores = scores_of(30, 0, 4, 0)
        scores[:, 2] = NAN
        assert standing(scores).still_in == [0, 2]

    def test_the_level_is_what_is_asked_for(self) -> None:
        scores = scores_of(40, 0, 1)
        assert standing(scores, alpha=0.2).left[1] < standing(scores, alpha=0.001).left[1]

    def test_the_best_stays_in_nineteen_of_twenty_races(self) -> None:
        out = [standing(scores_of(15, 0, 0, 0.5, seed=seed)).left[0] > 0 for seed in range(300)]
        assert np.mean(out) < ALPHA


@pytest.mark.slow
class TestProof:
    """The figures of docs/statistics.md: 60 looks at 12 conditions; a standard error of .005."""

    REPEATS = 2_000

    @pytest.mark.parametrize("noise", NOISES)
    @pytest.mark.parametrize("k", [2, 12])
    def test_the_best_stays_where_none_is_worse(self, k: int, noise: str) -> None:
        rng = np.random.default_rng(k)
        left = np.array([standing(NOISES[noise](rng, (60, k))).left for _ in range(self.REPEATS)])
        best, anyone, all_but_one = left[:, 0] > 0, (left > 0).any(1), (left > 0).sum(1) == k - 1
        print(
            f"race, no difference | {noise} | {k} | {best.mean():.3f} | {anyone.mean():.3f} | "
            f"{all_but_one.mean():.3f}"
        )
        assert best.mean() < ALPHA

    @pytest.mark.parametrize("noise", NOISES)
    def test_the_best_stays_where_half_are_worse_and_some_diverge(self, noise: str) -> None:
        rng = np.random.default_rng(0)
        out = 0
        for _ in range(self.REPEATS):
            scores = NOISES[noise](rng, (60, 12))
            scores[:, 6:] += 0.5
            scores[rng.random(scores.shape) < 0.05] = INF
            out += standing(scores).left[0] > 0
        print(f"race, half worse, 5 % diverged | {noise} | 12 | {out / self.REPEATS:.3f}")
        assert out / self.REPEATS < ALPHA

    @pytest.mark.parametrize("gone", [1, 6])
    def test_who_always_diverges_leaves_and_the_best_stays(self, gone: int) -> None:
        rng = np.random.default_rng(gone)
        scores = rng.standard_normal((500, 60, 12))
        scores[:, :, 12 - gone :] = INF
        left = np.array([standing(one).left for one in scores])
        out, seeds = (left[:, 0] > 0).mean(), left[:, 12 - gone :]
        print(f"race, always diverged | {gone} of 12 | {out:.3f} | {np.median(seeds):.0f}")
        assert out < ALPHA
        assert (seeds > 0).all()

    @pytest.mark.parametrize("tail", [1, -1])
    @pytest.mark.parametrize("k", [2, 12])
    def test_a_skewed_best_of_equal_mean(self, k: int, tail: int) -> None:
        """Not covered by the guarantee, where the best has the long tail to the good side."""
        rng = np.random.default_rng(k)
        out = 0
        for _ in range(self.REPEATS):
            scores = 0.3 * rng.standard_normal((60, k))
            scores[:, 0] += tail * (rng.lognormal(0, 0.7, 60) - np.exp(0.245))
            out += standing(scores).left[0] > 0
        print(f"race, best skewed {tail:+} | {k} | {out / self.REPEATS:.3f}")
        assert out / self.REPEATS < (ALPHA if tail > 0 else 0.25)

    @pytest.mark.parametrize("noise", NOISES)
    @pytest.mark.parametrize("effect", [0.5, 1, 2, 3])
    @pytest.mark.parametrize("k", [2, 12])
    def test_seeds_until_the_worse_have_left(self, k: int, effect: float, noise: str) -> None:
        """effect: by how many standard deviations of the paired difference all others are worse."""
        rng = np.random.default_rng(k)
        sd = NOISES[noise](rng, (100_000, 2)).std() * np.sqrt(2)
        scores = NOISES[noise](rng, (200, 120, k))
        scores[:, :, 1:] += effect * sd
        left = np.array([standing(one).left for one in scores])
        stops = np.where(left[:, 1:] > 0, left[:, 1:], 999)
        print(
            f"race, others worse by {effect} sd | {noise} | {k} | {np.median(stops):.0f} | "
            f"{np.median(stops.max(1)):.0f}"
        )
        assert (left[:, 0] > 0).mean() < ALPHA
