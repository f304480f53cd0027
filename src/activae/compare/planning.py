"""How many more seeds would tell the best from those that it cannot be told from yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from activae.compare import statistics
from activae.compare.commands import with_seeds
from activae.compare.pairing import Paired, enumerated
from activae.compare.statistics import ALPHA, Array
from activae.config.wording import counted

POWER = 0.8
MOST = 100  # a difference that needs more seeds is too small to matter to most
_FEWEST = 3  # seeds, for the size of a difference to be known at all


def power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """The probability that the paired t-test of n seeds finds a difference, two-sided.

    effect: the mean difference in standard deviations of the paired difference. By the noncentral
    t distribution: Cohen 1988, Statistical power analysis for the behavioral sciences, chapter 2.
    """
    critical = stats.t.isf(alpha / 2, n - 1)
    shift = abs(effect) * np.sqrt(n)
    upper = stats.nct.sf(critical, n - 1, shift)
    lower = stats.nct.cdf(-critical, n - 1, shift)
    return float(upper + np.nan_to_num(lower))


def seeds_needed(
    effect: float, alpha: float = ALPHA, wanted: float = POWER, most: int = MOST
) -> int | None:
    """The fewest seeds that find a difference with the wanted power; None above `most`.

    As few as cannot reach .05 by sign flips, the test that decides, are never enough; step-down
    max-T reaches as low a p however many pairs there are.
    """
    for n in range(2, most + 1):
        if statistics.smallest_p(n) <= ALPHA and power(effect, n, alpha) >= wanted:
            return n
    return None


def plan(paired: Paired, pairs: Array, leaders: Sequence[int]) -> Iterator[str]:
    """Sentences: which of those like the best more seeds would tell from it, and the command.

    pairs: the adjusted p of all pairs; leaders: those like the best, the best first. An undecided
    pair is planned at alpha divided by how many are undecided, which no step-down method exceeds,
    and by the difference seen so far, which is uncertain itself.
    """
    if not leaders:
        return
    best, *others = leaders
    undecided = int((np.triu(pairs, 1) > ALPHA).sum())
    d = statistics.differences(paired.scores, best)
    needed, beyond = {}, []
    for other in others:
        effect = _effect(d[:, other])
        if effect is None:
            continue
        n = seeds_needed(effect, ALPHA / undecided)
        if n is None:
            beyond.append(paired.conditions[other])
        else:
            needed[other] = max(n, len(paired.seeds) + 1)
    if needed:
        other = min(needed, key=lambda index: needed[index])
        yield _more_seeds(paired, best, other, needed[other])
    if beyond:
        it = "it" if len(beyond) == 1 else "them"
        yield (
            f"more than {MOST} seeds would be needed to tell {enumerated(beyond)} from "
            f"{paired.conditions[best]}: choose between {it} and the best by cost or by taste"
        )


def _effect(d: Array) -> float | None:
    """The mean of paired differences in their standard deviations; None where it is not known."""
    d = d[~np.isnan(d)]
    if len(d) < _FEWEST or not np.isfinite(d).all() or np.ptp(d) == 0:
        return None
    return float(d.mean() / d.std(ddof=1))


def _more_seeds(paired: Paired, best: int, other: int, n: int) -> str:
    names, known = paired.conditions, paired.seeds
    more = n - len(known)
    told = (
        f"{counted(more, 'more seed')} would tell {names[best]} from {names[other]} with 80 % power"
        ", if the difference is as large as it seems"
    )
    if not all(isinstance(seed, (int, np.integer)) for seed in known):
        return told
    fresh = [seed for seed in range(n + len(known)) if seed not in known][:more]
    command = with_seeds(paired.runs["path"], sorted([*map(int, known), *fresh]), paired.metric)
    return f"{told}; run: {command}" if command else told
