"""The runs of a comparison, setting by setting: what is averaged over is shown apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from activae.compare.pairing import LR, Paired, named

if TYPE_CHECKING:
    import pandas as pd

_MOST = 6


def facets(paired: Paired, runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """A title and the runs of each setting of the keys that were averaged over, 6 at most.

    The learning rate is no such key: see `at_best_lr`.
    """
    keys = [key for key in paired.averaged if key != LR]
    if not keys:
        yield "", runs
        return
    first, *others = named(runs, keys)
    settings = sum((", " + part for part in others), first)
    for setting in list(dict.fromkeys(settings))[:_MOST]:
        yield setting, runs[settings == setting]


def at_best_lr(paired: Paired) -> pd.DataFrame:
    """The runs; where learning rates were averaged over, those at each condition's best."""
    runs = paired.runs
    if LR not in paired.averaged or paired.metric not in runs:
        return runs
    scores = runs.assign(score=paired.sign * runs[paired.metric])
    means = scores.groupby(["condition", LR])["score"].agg(lambda s: s.mean(skipna=False))
    best = means.groupby("condition").idxmin().dropna()
    kept = set(best)
    return runs[[pair in kept for pair in zip(runs["condition"], runs[LR], strict=True)]]
