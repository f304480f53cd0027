"""The statistics: against scipy, by hand, and on simulated sweeps whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from activae.compare import statistics as s
from activae.errors import UserError

INF, NAN = np.inf, np.nan
Draw = Callable[[np.random.Generator, tuple[int, ...]], s.Array]
# Differences with mean 0, as paired differences may be distributed.
NOISES: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "lognormal": lambda rng, shape: np.exp(0.7 * rng.standard_normal(shape)) - np.exp(0.245),
    "t3": lambda rng, shape: rng.standard_t(3, shape),
}


def sweep(n: int, k: int, seed: int = 0) -> s.Array:
    """Scores of a sweep in which no condition is better: seeds differ more than conditions do."""
    rng = np.random.default_rng(seed)
    return 10 + rng.standard_normal((n, 1)) + 0.2 * rng.standard_normal((n, k))


class TestIntervals:
    def test_students_is_scipys(self) -> None:
        scores = sweep(9, 4)
        low, high = s.t_interval(s.differences(scores, 0))
        for other in (1, 2, 3):
            paired = stats.ttest_rel(scores[:, other], scores[:, 0]).confidence_interval(0.95)
            assert (low[other], high[other]) == pytest.approx(tuple(paired), rel=1e-9)

    def test_of_the_baseline_with_itself_is_zero(self) -> None:
        d = s.differences(sweep(5, 3), 1)
        for low, high in (s.t_interval(d), s.bootstrap_t_interval(d)):
            assert low[1] == high[1] == 0

    def test_need_two_seeds_and_finite_differences(self) -> None:
        for d in (np.array([[0.3]]), np.array([[0.3], [INF], [0.1]])):
            for low, high in (s.t_interval(d), s.bootstrap_t_interval(d)):
                assert np.isnan([low[0], high[0]]).all()

    def test_use_the_rows_that_both_have(self) -> None:
        scores = sweep(8, 2)
        with_gaps = np.vstack([scores, [[NAN, 9.0], [9.0, NAN]]])
        for interval in (s.t_interval, s.bootstrap_t_interval):
            whole, gaps = (interval(s.differences(x, 0)) for x in (scores, with_gaps))
            assert np.allclose(whole, gaps)

    def test_bootstrap_t_is_as_skewed_as_the_differences(self) -> None:
        d = np.exp(np.linspace(-2, 2, 20))[:, None]
        low, high = s.bootstrap_t_interval(d)
        assert high[0] - d.mean() > 1.2 * (d.mean() - low[0])

    def test_bootstrap_t_repeats_itself(self) -> None:
        d = s.differences(sweep(8, 3), 0)
        assert np.array_equal(s.bootstrap_t_interval(d), s.bootstrap_t_interval(d))


class TestTests:
    def test_sign_flips_are_scipys_permutations(self) -> None:
        d = sweep(9, 2)[:, 0] - sweep(9, 2, seed=1)[:, 0] + 0.4
        expected = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert s.sign_flip_p(d[:, None])[0] == pytest.approx(expected, rel=1e-9)

    def test_sampled_flips_agree_with_all_of_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        d = np.random.default_rng(3).standard_normal((12, 4)) + np.array([0, 0.3, 0.6, 1.5])
        exact = s.sign_flip_p(d)
        monkeypatch.setattr(s, "_EXACT_SEEDS", 5)
        assert s.sign_flip_p(d) == pytest.approx(exact, abs=0.015)
        assert s.sign_flip_p(d).min() >= 1e-4

    @pytest.mark.parametrize("n", [1, 2, 5, 6, 12])
    def test_no_p_is_below_the_smallest_that_can_be_reached(self, n: int) -> None:
        scores = sweep(n, 3) + np.array([0, 100, 200])
        assert s.smallest_p(n) == min(1, 2 / 2**n)
        assert s.all_pairs(scores)[0, 1] == pytest.approx(s.smallest_p(n))
        assert s.sign_flip_p(s.differences(scores, 0))[1] == pytest.approx(s.smallest_p(n))

    def test_holm_by_hand(self) -> None:
        assert s.holm(np.array([0.01, 0.04, 0.03, 0.5])) == pytest.approx([0.04, 0.09, 0.09, 0.5])
        assert s.holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])

    def test_against_a_baseline_is_holm_of_the_single_ps(self) -> None:
        scores = sweep(8, 4) + np.array([0, 0.1, 0.3, 1])
        single = s.sign_flip_p(s.differences(scores, 0))[1:]
        assert s.against_baseline(scores, 0) == pytest.approx([1, *s.holm(single)])

    def test_max_t_of_two_conditions_is_the_single_p(self) -> None:
        scores = sweep(8, 2) + np.array([0, 0.2])
        assert s.all_pairs(scores)[0, 1] == pytest.approx(
            s.sign_flip_p(s.differences(scores, 0))[1]
        )

    def test_max_t_step_down_by_hand(self) -> None:
        scores = sweep(5, 3) + np.array([0, 0.15, 0.5])
        pairs = [(0, 1), (0, 2), (1, 2)]
        d = np.stack([scores[:, a] - scores[:, b] for a, b in pairs], 1)
        signs = 1 - 2 * np.array([[code >> bit & 1 for bit in range(5)] for code in range(32)])
        t = np.abs(
            [stats.ttest_1samp(d * flip[:, None], 0).statistic for flip in signs]
        )  # the first flip is none
        order = np.argsort(-t[0])
        expected, least = {}, 0.0
        for place, pair in enumerate(order):
            least = max(least, float(np.mean(t[:, order[place:]].max(1) >= t[0, pair] - 1e-9)))
            expected[pairs[pair]] = least
        p = s.all_pairs(scores)
        assert {pair: p[pair] for pair in pairs} == pytest.approx(expected)

    def test_max_t_finds_what_holm_on_all_pairs_cannot(self) -> None:
        scores = sweep(12, 20)
        scores[:, 0] -= 5
        assert s.all_pairs(scores)[0, 1:].max() < 0.001 < s.smallest_p(12) * 190

    def test_ps_do_not_depend_on_the_order_of_conditions(self) -> None:
        scores = sweep(8, 5) + np.arange(5) / 10
        order = [3, 1, 4, 0, 2]
        assert np.allclose(s.all_pairs(scores)[np.ix_(order, order)], s.all_pairs(scores[:, order]))

    def test_units_of_the_scores_do_not_matter(self) -> None:
        scores = sweep(8, 4) + np.arange(4) / 5
        assert np.allclose(s.all_pairs(scores), s.all_pairs(1e-200 * scores))

    def test_ties_are_no_difference(self) -> None:
        assert (s.all_pairs(np.full((8, 3), 2.5)) == 1).all()


class TestDiverged:
    """Diverged runs score inf: worst, never dropped."""

    def test_one_that_always_diverges_is_told_from_the_others(self) -> None:
        scores = sweep(8, 3)
        scores[:, 2] = INF
        p = s.all_pairs(scores)
        assert p[2, 0] == p[2, 1] == pytest.approx(s.smallest_p(8))
        assert s.ranking(scores)[-1] == 2
        assert s.like_the_best(scores, p) == s.ranking(scores)[:2]
        assert s.probability_of_improvement(scores, 0)[2] == 0

    def test_a_single_one_costs_the_rank_it_deserves(self) -> None:
        scores = sweep(6, 2) + np.array([0, -3])  # the second is better wherever it doesn't diverge
        before = s.all_pairs(scores)[0, 1]
        scores[2, 1] = INF
        ranks = np.array([-1, -2, 6, -3, -4, -5])[:, None]
        assert s.all_pairs(scores)[0, 1] == pytest.approx(s.sign_flip_p(ranks)[0])
        assert s.all_pairs(scores)[0, 1] > before
        assert s.ranking(scores) == [0, 1]

    def test_all_of_them_are_ties(self) -> None:
        scores = np.full((8, 3), INF)
        assert (s.all_pairs(scores) == 1).all()
        assert s.like_the_best(scores, s.all_pairs(scores)) == [0, 1, 2]
        assert np.isinf(s.mean_and_sd(scores)[0]).all()
        assert np.isnan(s.relative_difference(scores, 0)).all()
        assert (s.probability_of_improvement(scores, 0) == 0.5).all()

    def test_fewer_than_a_quarter_leave_the_interquartile_mean_finite(self) -> None:
        scores = sweep(12, 2)
        scores[:2, 1] = INF
        expected = [stats.trim_mean(column, 0.25) for column in scores.T]
        assert s.interquartile_mean(scores) == pytest.approx(expected)


class TestMissing:
    def test_pairs_are_those_that_both_have(self) -> None:
        scores = sweep(8, 2) + np.array([0, 0.1])
        with_gaps = np.vstack([scores, [[NAN, 90.0], [0.0, NAN]]])
        assert s.all_pairs(with_gaps)[0, 1] == pytest.approx(s.all_pairs(scores)[0, 1])
        assert np.allclose(s.relative_difference(with_gaps, 0), s.relative_difference(scores, 0))

    def test_an_easy_seed_that_others_lack_makes_nobody_best(self) -> None:
        scores = sweep(8, 2) + np.array([0, 1])
        scores[0] = [NAN, 0.0]
        assert s.ranking(scores) == [0, 1]

    def test_a_condition_without_runs_comes_last(self) -> None:
        scores = sweep(8, 3)
        scores[:, 0] = NAN
        assert s.ranking(scores)[-1] == 0
        assert s.all_pairs(scores)[0, 1] == 1


class TestRefusals:
    @pytest.mark.parametrize("shape", [(3,), (0, 2), (3, 1)])
    def test_what_is_no_comparison(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(UserError, match="at least 1 seed and 2 conditions"):
            s.all_pairs(np.ones(shape))

    def test_minus_infinity(self) -> None:
        with pytest.raises(UserError, match="lower is better"):
            s.ranking(np.array([[1.0, -INF]]))

    def test_one_seed_says_nothing(self) -> None:
        scores = sweep(1, 3)
        assert (s.all_pairs(scores) == 1).all()
        assert np.isnan(s.mean_and_sd(scores)[1]).all()


def test_relative_difference_and_interquartile_mean_by_hand() -> None:
    scores = np.array([[10.0, 11.0], [10.0, 13.0]])
    assert s.relative_difference(scores, 0) == pytest.approx([0, 0.2])
    assert np.isnan(s.interquartile_mean(scores)).all()


def test_probability_of_improvement_is_mann_and_whitneys() -> None:
    scores = np.round(sweep(10, 2), 1)
    u = stats.mannwhitneyu(scores[:, 0], scores[:, 1]).statistic / 100
    assert s.probability_of_improvement(scores, 0)[1] == pytest.approx(u)


def test_sixty_conditions_are_compared() -> None:
    scores = sweep(12, 60)
    scores[:, 7] -= 3
    assert s.like_the_best(scores, s.all_pairs(scores)) == [7]


class TestSimulated:
    """Small simulations; bounds allow for three standard errors of their number."""

    @pytest.mark.parametrize("n", [5, 12])
    def test_intervals_cover(self, n: int) -> None:
        d = np.random.default_rng(n).standard_normal((n, 800))
        for low, high in (s.t_interval(d), s.bootstrap_t_interval(d, repeats=499)):
            assert abs(np.mean((low <= 0) & (high >= 0)) - 0.95) < 0.025

    def test_without_a_difference_one_in_twenty_sweeps_finds_one(self) -> None:
        found = [s.all_pairs(sweep(8, 5, seed)).min() <= 0.05 for seed in range(400)]
        assert np.mean(found) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


@pytest.mark.slow
class TestProof:
    """The figures of docs/statistics.md."""

    @pytest.mark.parametrize("noise", NOISES)
    @pytest.mark.parametrize("n", [5, 8, 12, 20, 60])
    def test_coverage(self, n: int, noise: str) -> None:
        d = NOISES[noise](np.random.default_rng(n), (n, 3000))
        covered = [
            np.mean((low <= 0) & (high >= 0))
            for low, high in (s.t_interval(d), s.bootstrap_t_interval(d, repeats=999))
        ]
        print(f"coverage | {noise} | {n} | {covered[0]:.3f} | {covered[1]:.3f}")
        assert max(covered) > (0.93 if noise != "lognormal" else 0.89)
        assert min(covered) < 0.98
        if n >= 8 and noise != "lognormal":
            assert 0.93 < covered[0] < 0.97

    @pytest.mark.parametrize("noise", NOISES)
    @pytest.mark.parametrize("n", [8, 12])
    def test_family_wise_error_of_twelve_conditions(self, n: int, noise: str) -> None:
        rng = np.random.default_rng(n)
        scores = NOISES[noise](rng, (2000, n, 12))
        pairs = np.mean([s.all_pairs(one).min() <= 0.05 for one in scores])
        baseline = np.mean([s.against_baseline(one, 0).min() <= 0.05 for one in scores])
        print(f"family-wise | {noise} | {n} | {pairs:.3f} | {baseline:.3f}")
        assert max(pairs, baseline) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)

    def test_family_wise_error_with_diverged_runs(self) -> None:
        rng = np.random.default_rng(0)
        scores = rng.standard_normal((2000, 12, 12))
        scores[rng.random(scores.shape) < 0.05] = INF
        pairs = np.mean([s.all_pairs(one).min() <= 0.05 for one in scores])
        print(f"family-wise | normal, 5 % diverged | 12 | {pairs:.3f} | ")
        assert pairs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)

    @pytest.mark.parametrize("gone", [1, 6])
    def test_conditions_that_always_diverge_are_told_and_cost_the_others_nothing(
        self, gone: int
    ) -> None:
        scores = np.random.default_rng(gone).standard_normal((1000, 12, 12))
        scores[:, :, :gone] = INF
        pairs = np.stack([s.all_pairs(one) for one in scores])
        others = pairs[:, gone:, gone:].min((1, 2)) <= 0.05
        told = pairs[:, :gone, gone:].max((1, 2)) <= 0.05
        print(f"always diverged | {gone} of 12 | 12 | {others.mean():.3f} | {told.mean():.3f}")
        assert others.mean() < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)
        assert told.mean() > 0.95

    @pytest.mark.parametrize("k", [4, 12])
    @pytest.mark.parametrize("n", [8, 12, 20])
    def test_power(self, n: int, k: int) -> None:
        rng = np.random.default_rng(n)
        scores = rng.standard_normal((500, n, k)) / np.sqrt(2)  # differences have an sd of 1
        scores[:, :, 0] -= 1
        found = np.mean([s.all_pairs(one)[0, 1] <= 0.05 for one in scores])
        print(f"power | one better by 1 sd | {k} | {n} | {found:.3f}")
        assert found > 0.05
