"""When a condition may leave a race: evidence that can be looked at after every seed.

Pure functions on scores [seeds, conditions], lower is better, rows in the order in which they came.
As in `statistics`, inf is a run that diverged; NaN is one that was not made, or that failed.

For each ordered pair (i, j) a capital starts at 1 and bets that i is worse than j. Before seed t it
is told |d_t|, the size of the paired difference d_t = score_i - score_j, and stakes a share
b_t >= 0 of itself on d_t > 0: it becomes 1 + b_t times as much if that is so, 1 - b_t times if not.

Where i is no worse than j, that is, where d_t given the past is symmetric about a centre <= 0 and
has a single peak, or is as likely to be x as -x, the sign is + with probability <= 1/2 whatever
|d_t|: the capital does not grow on average, it is an e-process. (A difference of two exchangeable
scores is symmetric, however skewed they are.) Normality is not assumed; it only shapes the stakes:
b_t is what the t-test mixture expects. For d_t ~ N(delta sigma, sigma^2) with delta ~ |N(0, g)| and
the right Haar prior on sigma, the marginal density of d_1..d_t is, but for a constant,

    M_t = (S - g T^2 / (1 + t g))^(-t/2) F_t(T sqrt(g t / ((1 + t g) (S - g T^2 / (1 + t g)))))

with T and S the sums of d and d^2, and F_t Student's distribution function; and
b_t = (M+ - M-) / (M+ + M-), M+ and M- those with d_t = +|d_t| and -|d_t|. Under normality it loses
next to nothing to the ratio of marginal densities itself, and a single outlier cannot make it
large: no seed more than doubles it.

Against i stands the mean of its capitals against all rivals: if i is the best, each of them is an
e-process, and so is their mean. By Ville's inequality it ever reaches 1/alpha with probability at
most alpha, at whatever seeds one looks and whatever the reason to stop; the capital against a rival
that has left stays as it is. So the best ever leaves with probability at most alpha. (Of several
that tie for the best that is true of each.) The mean reaches 1/alpha at the latest when one capital
reaches (m - 1)/alpha, m conditions: no union over rivals is as quick.

Sources: Ville 1939, Etude critique de la notion de collectif; Ramdas, Grunwald, Vovk & Shafer 2023,
Game-theoretic statistics and safe anytime-valid inference; Vovk & Wang 2021, E-values (the mean);
Ramdas, Ruf, Larsson & Koolen 2020, Admissible anytime-valid sequential inference, section 5 (bets
on signs, given sizes); Rouder et al. 2009 and Grunwald, de Heide & Koolen 2024, Safe testing
(t-test mixtures).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, stdtr

from activae.compare.statistics import ALPHA, Array, minus

# The variance of the mixture, in standard deviations of the paired difference.
SPREAD = 1.0
_TINY = 1e-300
_LARGEST = 700.0  # of a logarithm


@dataclass(frozen=True)
class Standing:
    """Who is still in a race.

    left: the number of seeds after which each condition left, 0 where it is in: [k];
    evidence: the mean capital against each when it left, or now: [k]; it leaves at 1/alpha;
    rival: the condition that speaks most against it: [k]; itself where none does.
    """

    left: NDArray[np.int64]
    evidence: Array
    rival: NDArray[np.int64]

    @property
    def still_in(self) -> list[int]:
        """The conditions that have not left."""
        return [int(index) for index in np.flatnonzero(self.left == 0)]


def capital(d: Array) -> Array:
    """The logarithm of the capital that bets on d > 0, after each row: [n, ...] -> [n, ...].

    d: differences, in the order in which they came. Those that are 0 or NaN change nothing. The
    size of an infinite one says nothing, so the stake on its sign follows from the infinite ones
    before: (w - l + 1) / (w + l + 2) after w that were +inf and l that were -inf, or 0.
    """
    d = np.asarray(d, dtype=np.float64)
    finite = np.isfinite(d)
    x = np.where(finite, d, 0.0)
    largest = np.abs(x).max(0)
    x = np.divide(x, largest, out=np.zeros_like(x), where=largest > 0)  # squares don't underflow
    n = finite.cumsum(0).astype(np.float64)
    before, squares = x.cumsum(0) - x, (x**2).cumsum(0)
    up = _log_marginal(n, before + np.abs(x), squares)
    down = np.minimum(up, _log_marginal(n, before - np.abs(x), squares))
    won = np.where(x > 0, up, down) - np.logaddexp(up, down) + np.log(2)
    return np.asarray((np.where(x == 0, 0.0, won) + _on_infinite(d)).cumsum(0))


def standing(scores: Array, alpha: float = ALPHA) -> Standing:
    """Who is in after these seeds, and who left when: the same whenever and how often one looks.

    scores [n, k]: what a condition scored after it had left is not looked at. The last one in never
    leaves, nor does one against which nothing was run.
    """
    scores = np.asarray(scores, dtype=np.float64)
    n, k = scores.shape
    left, against = np.zeros(k, dtype=np.int64), np.zeros(k)
    if not n:
        return Standing(left, np.ones(k), np.arange(k))
    each = capital(minus(scores[:, :, None], scores[:, None, :]))
    each[:, range(k), range(k)] = -np.inf
    for row in range(n):
        against = logsumexp(each[row], axis=1) - np.log(k - 1)
        out = (against >= -np.log(alpha)) & (left == 0)
        if (out | (left > 0)).all():  # somebody stays
            out[np.argmin(np.where(left == 0, against, np.inf))] = False
        left[out] = row + 1
        # From here on its capitals stay as they are.
        each[row + 1 :, out] = each[row, out]
        each[row + 1 :, :, out] = each[row][:, out]
    rival = np.where(each[-1].max(1) > 0, each[-1].argmax(1), np.arange(k))
    return Standing(left, np.exp(np.minimum(against, _LARGEST)), rival)


def _log_marginal(n: Array, total: Array, squares: Array) -> Array:
    """log M_t of the module's text, up to what is the same for both signs of d_t."""
    n = np.maximum(n, 1)
    shrunk = SPREAD / (1 + n * SPREAD)
    rest = np.maximum(squares - shrunk * total**2, _TINY)
    t = total * np.sqrt(shrunk * n / rest)
    return np.asarray(-n / 2 * np.log(rest) + np.log(np.maximum(stdtr(n, t), _TINY)))


def _on_infinite(d: Array) -> Array:
    """What the stakes on infinite differences make of the capital, as logarithms; else 0."""
    won, lost = np.isposinf(d), np.isneginf(d)
    wins, losses = won.cumsum(0) - won, lost.cumsum(0) - lost
    stake = np.maximum(0, (wins - losses + 1) / (wins + losses + 2))
    return np.asarray(np.where(won, np.log1p(stake), np.where(lost, np.log1p(-stake), 0.0)))
