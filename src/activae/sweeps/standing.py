"""Where the conditions of a sweep stand: the mean of each over the seeds that are done so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from activae.config.wording import clipped_apart, decimals_for
from activae.sweeps.job import Job, Outcome

ROWS = 12  # of the table, so that many conditions leave the screen to the lines of the runs
_HEAD = f"{'mean SE/val':>11}  {'seeds':>7}  "


def standing(
    jobs: Sequence[Job], outcomes: Mapping[str, Outcome], width: int, rows: int = ROWS
) -> list[str]:
    """Lines of a table, the best condition first; none where the jobs are of one condition.

    Conditions with runs that diverged or failed come after those without.
    """
    conditions: dict[str, list[Outcome | None]] = {}
    for job in jobs:
        conditions.setdefault(job.condition, []).append(outcomes.get(job.id))
    if len(conditions) < 2:
        return []
    means = {name: _mean(found) for name, found in conditions.items()}
    bad = {name: _bad(found) for name, found in conditions.items()}
    best = sorted(
        conditions, key=lambda name: (means[name] == math.inf, bad[name] != "", means[name])
    )[:rows]
    decimals = decimals_for([min(means.values())], 4)
    names = clipped_apart(best, width - len(_HEAD))
    lines = [f"{_HEAD}condition"]
    for name, shown in zip(best, names, strict=True):
        mean = "-"
        if math.isfinite(means[name]):  # an exponent keeps tiny scores short
            mean = f"{means[name]:.{decimals}f}" if decimals <= 6 else f"{means[name]:.3e}"
        told = f"{_seeds(conditions[name]):>7}  {shown}{bad[name]}"
        lines.append(f"{mean:>11}  {told}"[:width])
    if len(conditions) > rows:
        lines.append(f"{' ' * len(_HEAD)}and {len(conditions) - rows} more")
    return lines


def _mean(found: Sequence[Outcome | None]) -> float:
    """Over the runs that have a score; infinite where none has."""
    scores = [each.se_val for each in found if each is not None and each.se_val is not None]
    return fmean(scores) if scores else math.inf


def _seeds(found: Sequence[Outcome | None]) -> str:
    return f"{sum(each is not None and each.ok for each in found)}/{len(found)}"


def _bad(found: Sequence[Outcome | None]) -> str:
    """Those that have no score, which the mean leaves out."""
    ended = [each.status for each in found if each is not None and not each.ok]
    counts = {status: ended.count(status) for status in dict.fromkeys(ended)}
    return "".join(f", {count} {status}" for status, count in counts.items())
