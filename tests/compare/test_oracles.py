"""The same figures as well-kept libraries give, to 1e-9."""

from __future__ import annotations

import numpy as np
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from activae.compare import ranks
from activae.compare import statistics as s
from activae.compare.planning import power

EXACT = {"rel": 1e-9, "abs": 1e-12}


@pytest.fixture
def scores() -> s.Array:
    """Ten seeds of six conditions, some of which differ."""
    rng = np.random.default_rng(3)
    seeds = rng.standard_normal((10, 1))
    return 5 + seeds + 0.3 * rng.standard_normal((10, 6)) + [0, 0.1, 0.2, 0.4, 0.8, 0]


def test_intervals_are_statsmodels(scores: s.Array) -> None:
    d = s.differences(scores, 0)
    low, high = s.t_interval(d)
    for column in range(1, 6):
        expected = DescrStatsW(d[:, column]).tconfint_mean()
        assert (low[column], high[column]) == pytest.approx(expected, **EXACT)


def test_a_p_of_all_sign_flips_is_scipys_permutation_test(scores: s.Array) -> None:
    d = s.differences(scores, 0)[:, 1:]
    expected = [
        stats.permutation_test(
            (column,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        for column in d.T
    ]
    assert s.sign_flip_p(d) == pytest.approx(expected, **EXACT)


def test_holm_is_statsmodels(scores: s.Array) -> None:
    p = s.sign_flip_p(s.differences(scores, 0)[:, 1:])
    expected = multipletests(p, method="holm")[1]
    assert s.against_baseline(scores, 0)[1:] == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(("effect", "n"), [(0.3, 8), (0.5, 34), (1.2, 7), (2.0, 4)])
def test_power_is_statsmodels(effect: float, n: int) -> None:
    expected = TTestPower().power(effect, n, 0.01, alternative="two-sided")
    assert power(effect, n, 0.01) == pytest.approx(expected, **EXACT)


def test_nemenyis_test_is_scikit_posthocs(scores: s.Array) -> None:
    """At p of a pair as its alpha, the critical difference is that of the pair's ranks."""
    p = posthoc_nemenyi_friedman(scores).to_numpy()
    mean = ranks.average_ranks(scores)
    pairs = [(i, j) for i in range(6) for j in range(i) if 1e-3 < p[i, j] < 0.9]
    assert len(pairs) >= 3
    for i, j in pairs:
        difference = ranks.critical_difference(10, 6, float(p[i, j]))
        assert difference == pytest.approx(abs(mean[i] - mean[j]), rel=1e-6)
