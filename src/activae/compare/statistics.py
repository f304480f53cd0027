"""How sure a difference is: pure functions on scores [seeds, conditions], lower is better.

A row is a seed, with which every condition was run: rows are paired. What is special:

- A run that diverged scores inf: it is worse than every finite one and ties with another that
  diverged. It is never dropped. A mean with such a run in it is inf, and has no interval. Tests
  then use the signed ranks of the pair's differences (|inf| ranks highest) instead of the
  differences: under the null hypothesis their signs are as exchangeable, so they stay exact.
- A run that is missing is NaN: a pair of conditions is compared by the rows that both have.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from activae.errors import UserError

Array = NDArray[np.float64]

LEVEL = 0.95
ALPHA = 0.05
IQM_SEEDS = 12  # with fewer, half of them say little
_EXACT_SEEDS = 14  # up to here all 2^n sign flips are enumerated
_SAMPLED = 9_999
_CHUNK = 1_024  # flips at a time: 1,770 pairs of 60 conditions take 15 MB
_TIE = 1e-9  # of statistics of order 1; less is rounding


def differences(scores: Array, baseline: int) -> Array:
    """Each condition minus the baseline, row by row: [n, k] -> [n, k].

    inf where only the condition diverged, -inf where only the baseline did, 0 where both did; NaN
    where either is missing.
    """
    scores = _checked(scores)
    return minus(scores, scores[:, [baseline]])


def measured_differences(scores: Array, baseline: int) -> Array:
    """As `differences`, but NaN where both diverged: a tie to a test, but no size to show."""
    scores = _checked(scores)
    return np.where(
        np.isinf(scores) & np.isinf(scores[:, [baseline]]), np.nan, differences(scores, baseline)
    )


def t_interval(d: Array, level: float = LEVEL) -> tuple[Array, Array]:
    """Student's t interval of the mean of each column of differences: [n, m] -> two of [m].

    Student 1908, The probable error of a mean. NaN for columns with an infinite difference or fewer
    than two rows.
    """
    n, mean, error = _moments(d)
    with np.errstate(invalid="ignore"):
        half = stats.t.ppf((1 + level) / 2, np.maximum(n - 1, 1)) * error
    return mean - half, mean + half


def bootstrap_t_interval(
    d: Array, level: float = LEVEL, *, repeats: int = 1_999, seed: int = 0
) -> tuple[Array, Array]:
    """The bootstrap-t interval of the mean of each column: [n, m] -> two of [m].

    Efron & Tibshirani 1993, An introduction to the bootstrap, section 12.5: rows are drawn with
    replacement and studentised, so that the interval is as skewed as they are. It stands beside
    `t_interval`: where the two disagree, skew matters. Infinite bounds are possible with very few
    rows. NaN as in `t_interval`.
    """
    n, mean, error = _moments(d)
    low, high = np.full(d.shape[1], np.nan), np.full(d.shape[1], np.nan)
    tails = [(1 - level) / 2, (1 + level) / 2]
    for column in np.flatnonzero(np.isfinite(error)):
        values = d[~np.isnan(d[:, column]), column]
        generator = np.random.default_rng(seed)  # the same rows for all columns: they are paired
        drawn = values[generator.integers(len(values), size=(repeats, len(values)))]
        shift = drawn.mean(1) - mean[column]
        spread = drawn.std(1, ddof=1) / np.sqrt(n[column])
        shift[np.abs(shift) <= _TIE * error[column]] = 0
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(shift == 0, 0, shift / spread)
        lower, upper = np.quantile(t, tails, method="inverted_cdf")
        with np.errstate(invalid="ignore"):
            bounds = mean[column] - np.array([upper, lower]) * error[column]
        low[column], high[column] = np.where(error[column] > 0, bounds, mean[column])
    return low, high


def relative_difference(scores: Array, baseline: int) -> Array:
    """Mean difference to the baseline as a part of the baseline's mean size: [n, k] -> [k].

    Both means are over the rows that the two have. NaN where the baseline's mean is 0 or infinite.
    """
    scores = _checked(scores)
    d = differences(scores, baseline)
    base = np.where(np.isnan(d), np.nan, scores[:, [baseline]])
    size = np.abs(mean_of_rows(base))
    mean = mean_of_rows(d)
    usable = (size > 0) & np.isfinite(size)
    return np.divide(mean, size, out=np.full_like(mean, np.nan), where=usable)


def probability_of_improvement(scores: Array, baseline: int) -> Array:
    """The probability that a run of each condition is better than one of the baseline: [k].

    Agarwal et al. 2021, Deep reinforcement learning at the edge of the statistical precipice: the
    share of all pairs of runs, whatever their seeds, with ties for a half (Mann & Whitney's U).
    """
    scores = _checked(scores)
    base = scores[:, baseline]
    base = base[~np.isnan(base)]
    result = np.full(scores.shape[1], np.nan)
    for column, values in enumerate(scores.T):
        own = values[~np.isnan(values), None]
        if own.size and base.size:
            result[column] = ((own < base) + 0.5 * (own == base)).mean()
    return result


def interquartile_mean(scores: Array) -> Array:
    """The mean of the middle half of each condition's runs: [n, k] -> [k].

    Agarwal et al. 2021, as above: a quarter is cut off at each end, so that fewer diverged runs
    than a quarter leave it finite. NaN with fewer than 12 runs.
    """
    scores = _checked(scores)
    result = np.full(scores.shape[1], np.nan)
    for column, values in enumerate(scores.T):
        own = np.sort(values[~np.isnan(values)])
        if len(own) >= IQM_SEEDS:
            cut = len(own) // 4
            result[column] = own[cut : len(own) - cut].mean()
    return result


def mean_and_sd(scores: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (n - 1) of each condition over its rows: [n, k] -> two of [k].

    inf and NaN where a run diverged; the deviation of a single run is NaN.
    """
    n, mean, error = _moments(_checked(scores))
    return mean, error * np.sqrt(n)


def smallest_p(seeds: int) -> float:
    """The smallest two-sided p that sign flips of so many paired seeds can reach: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - seeds))


def sign_flip_p(d: Array, *, seed: int = 0) -> Array:
    """Two-sided p of each column of differences, unadjusted: [n, m] -> [m].

    Fisher 1935, The design of experiments, section 21: if a column's distribution is symmetric
    about 0, each sign could as well have been the other. All 2^n sign flips for up to 14 rows;
    beyond, 9,999 random ones and the observed (Phipson & Smyth 2010, Permutation p-values should
    never be zero). The statistic is Student's t, of which |sum d| / sqrt(sum d^2) is a monotone
    function under flips.
    """
    units = _units(d)
    observed = np.abs(units.sum(0))
    reached, flips = np.zeros(d.shape[1]), 0
    for signs in _sign_flips(len(d), seed):
        reached += (np.abs(signs @ units) >= observed - _TIE).sum(0)
        flips += len(signs)
    return reached / flips


def all_pairs(scores: Array, *, seed: int = 0) -> Array:
    """Adjusted p of each pair of conditions: [n, k] -> [k, k], symmetric, 1 on the diagonal.

    Westfall & Young 1993, Resampling-based multiple testing, algorithm 4.1 (step-down max-T), with
    joint sign flips of the rows: the chance of one or more false findings among all pairs is at
    most the level, whichever hypotheses are true. It follows how pairs hang together, so it finds
    more than Holm's method on k (k - 1) / 2 tests.
    """
    scores = _checked(scores)
    k = scores.shape[1]
    first, second = np.triu_indices(k, 1)
    units = _units(minus(scores[:, first], scores[:, second]))
    observed = np.abs(units.sum(0))
    order = np.argsort(observed, kind="stable")  # the weakest first
    units, observed = units[:, order], observed[order]
    reached, flips = np.zeros(len(order)), 0
    for signs in _sign_flips(len(scores), seed):
        # Each pair is held against the strongest of those that are no stronger than itself.
        strongest = np.maximum.accumulate(np.abs(signs @ units), axis=1)
        reached += (strongest >= observed - _TIE).sum(0)
        flips += len(signs)
    adjusted = np.maximum.accumulate((reached / flips)[::-1])[::-1]
    p = np.ones((k, k))
    p[first[order], second[order]] = p[second[order], first[order]] = adjusted
    return p


def against_baseline(scores: Array, baseline: int, *, seed: int = 0) -> Array:
    """Adjusted p of each condition against the baseline, by Holm: [n, k] -> [k]; 1 for itself."""
    p = np.ones(scores.shape[1])
    others = np.arange(scores.shape[1]) != baseline
    p[others] = holm(sign_flip_p(differences(scores, baseline)[:, others], seed=seed))
    return p


def holm(p: Array) -> Array:
    """Holm's adjustment of m p-values: [m] -> [m].

    Holm 1979, A simple sequentially rejective multiple test procedure: the smallest times m, the
    next times m - 1, and so on, never below the one before, never above 1.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def ranking(scores: Array) -> list[int]:
    """The conditions from best to worst: fewest diverged, then lowest mean of the others: k ints.

    Means are over the rows that all conditions have, as long as there are any: a seed that one of
    them lacks favours nobody. Conditions without runs come last.
    """
    scores = _checked(scores)
    empty = np.isnan(scores).all(0)
    whole = ~np.isnan(scores[:, ~empty]).any(1)
    rows = scores[whole] if whole.any() else scores
    diverged = np.isinf(rows).sum(0) / np.maximum(1, (~np.isnan(rows)).sum(0))
    mean = mean_of_rows(np.where(np.isinf(rows), np.nan, rows))
    return [int(index) for index in np.lexsort((mean, diverged, empty))]


def like_the_best(scores: Array, p: Array, alpha: float = ALPHA) -> list[int]:
    """The best condition and those that cannot be told from it, from best to worst.

    p: adjusted p of all pairs [k, k], as by `all_pairs`. Because all pairs are adjusted for, it
    does not matter that the best was chosen by the same scores.
    """
    order = ranking(scores)
    return [index for index in order if index == order[0] or p[order[0], index] > alpha]


def always_diverged(scores: Array) -> NDArray[np.bool_]:
    """Which conditions have runs, all of which diverged: [n, k] -> [k]."""
    scores = _checked(scores)
    return np.asarray(np.isposinf(scores).any(0) & ~np.isfinite(scores).any(0), dtype=bool)


def pairs_of_seeds(scores: Array, best: int) -> int:
    """The most seeds that the best shares with another condition."""
    shared = (~np.isnan(differences(scores, best))).sum(0)
    return int(np.delete(shared, best).max())


def _checked(scores: Array) -> Array:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[0] < 1 or scores.shape[1] < 2:
        raise UserError(
            f"scores of shape {scores.shape}: a comparison needs [seeds, conditions] with at least "
            "1 seed and 2 conditions"
        )
    if np.isneginf(scores).any():
        raise UserError(
            "a score of -inf: scores are lower is better, and a run that diverged scores +inf"
        )
    return scores


def minus(a: Array, b: Array) -> Array:
    """a - b, scores of any shapes that go together; 0 where both are inf: two that diverged tie."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(a) & np.isinf(b), 0.0, a - b)


def _moments(d: Array) -> tuple[Array, Array, Array]:
    """Number of rows, mean, and standard error of each column: three of [m]."""
    n = (~np.isnan(d)).sum(0).astype(np.float64)
    mean = mean_of_rows(d)
    usable = np.isfinite(mean) & (n > 1)
    centred = np.where(np.isnan(d) | ~usable, 0, d - np.where(usable, mean, 0))
    centred = np.where(np.isfinite(centred), centred, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt((centred**2).sum(0) / (n - 1) / n)
    return n, mean, np.where(usable, error, np.nan)


def mean_of_rows(d: Array) -> Array:
    """The mean of each column over its rows; inf where one is inf, NaN where there are none or
    where inf and -inf meet.
    """
    n = (~np.isnan(d)).sum(0)
    with np.errstate(invalid="ignore"):
        return np.where(n > 0, np.nansum(d, axis=0) / np.maximum(n, 1), np.nan)


def _units(d: Array) -> Array:
    """Differences as the tests take them: signed ranks where one is infinite, length 1, NaN is 0.

    [n, m] -> [n, m]. Flipping signs leaves the length alone, so that the sum over a column grows
    with its t.
    """
    d = np.array(d, dtype=np.float64)
    for column in np.flatnonzero(np.isinf(d).any(0)):
        present = ~np.isnan(d[:, column])
        values = d[present, column]
        d[present, column] = np.sign(values) * stats.rankdata(np.abs(values))
    d = np.nan_to_num(d)
    largest = np.abs(d).max(0)
    d = np.divide(d, largest, out=np.zeros_like(d), where=largest > 0)  # squares don't underflow
    length = np.sqrt((d**2).sum(0))
    return np.divide(d, length, out=np.zeros_like(d), where=length > 0)


def _sign_flips(n: int, seed: int) -> Iterator[Array]:
    """Signs [flips, n] in chunks, the observed ones (all +1) first.

    The first row's sign is never flipped where all are enumerated: flipping every row changes no
    |statistic|, so half of them say it all.
    """
    if n <= _EXACT_SEEDS:
        for start in range(0, 2 ** (n - 1), _CHUNK):
            codes = np.arange(start, min(start + _CHUNK, 2 ** (n - 1)))
            yield _signs((codes[:, None] >> np.arange(n)) & 1)
        return
    generator = np.random.default_rng(seed)
    yield np.ones((1, n))
    for start in range(0, _SAMPLED, _CHUNK):
        count = min(_CHUNK, _SAMPLED - start)
        yield _signs(generator.integers(0, 2, size=(count, n)))


def _signs(flipped: NDArray[np.int64]) -> Array:
    """-1.0 for 1, +1.0 for 0."""
    signs: Array = 1.0 - 2.0 * flipped.astype(np.float64)
    return signs
