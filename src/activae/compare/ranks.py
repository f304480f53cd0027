"""Ranks over several settings (data sets, architectures): who is ahead everywhere, as far as known.

Pure functions on scores [settings, conditions], lower is better, without gaps. Demšar 2006,
Statistical comparisons of classifiers over multiple data sets.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from activae.compare.statistics import ALPHA, Array


def average_ranks(scores: Array) -> Array:
    """The mean over settings of each condition's rank, 1 the best; ties share: [n, k] -> [k]."""
    ranks: Array = stats.rankdata(scores, axis=1).mean(0)
    return ranks


def friedman_p(scores: Array) -> float:
    """The p of the hypothesis that all conditions rank alike: [n, k], n and k at least 2.

    Iman & Davenport 1980, Approximations of the critical region of the Friedman statistic: F with
    k - 1 and (k - 1)(n - 1) degrees of freedom, which Demšar prefers to Friedman's chi squared.
    """
    n, k = scores.shape
    ranks = stats.rankdata(scores, axis=1)
    between = n * ((ranks.mean(0) - (k + 1) / 2) ** 2).sum()
    rest = ((ranks - (k + 1) / 2) ** 2).sum() - between
    if between <= 0:
        return 1.0
    if rest <= 1e-12:  # the same ranking everywhere
        return 0.0
    return float(stats.f.sf((n - 1) * between / rest, k - 1, (k - 1) * (n - 1)))


def critical_difference(settings: int, conditions: int, alpha: float = ALPHA) -> float:
    """The difference in average rank from which on Nemenyi's test tells two conditions apart.

    Nemenyi 1963, Distribution-free multiple comparisons: q sqrt(k (k + 1) / 6 n), where q is the
    studentised range's quantile over sqrt 2.
    """
    q = stats.studentized_range.ppf(1 - alpha, conditions, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(conditions * (conditions + 1) / (6 * settings)))


def cliques(ranks: Array, difference: float) -> list[tuple[int, int]]:
    """Groups of ascending ranks that nothing separates, as (first, last); none lies in another."""
    groups: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = int(np.searchsorted(ranks, rank + difference, side="left")) - 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups


def agreement(scores: Array) -> float:
    """The mean rank correlation (Spearman) between two settings: 1 the same ranking, 0 unrelated.

    Of [n, k], n and k at least 2; by Kendall's W of all settings, of which it is (n W - 1) /
    (n - 1). Kendall & Babington Smith 1939, The problem of m rankings.
    """
    n, k = scores.shape
    ranks = stats.rankdata(scores, axis=1)
    total = ((ranks - (k + 1) / 2) ** 2).sum()
    between = n * ((ranks.mean(0) - (k + 1) / 2) ** 2).sum()
    w = float(between / total) if total else 1.0
    return (n * w - 1) / (n - 1)
