"""What a sweep says at its end: the verdict on all runs in its folder."""

from __future__ import annotations

import logging
from pathlib import Path
from shlex import quote

from activae.compare.answer import answer
from activae.compare.collect import DONE, Runs, read_runs
from activae.config.wording import clipped, wrapped
from activae.errors import UserError

log = logging.getLogger(__name__)

_NAME_WIDTH = 60


def tell_verdict(sweep: Path) -> None:
    """Log the verdict on a sweep's folder; where its runs are no comparison, the best of them."""
    try:
        runs = read_runs([sweep])
    except UserError:  # not one run was begun
        return
    told: str | None
    try:
        told = f"answer {answer(runs).verdict}"
    except UserError:  # one condition, say, or several keys that vary: compare.py says which
        if (told := _best(runs)) is None:
            return
    log.info("%s", wrapped(told))
    log.info("       more: python scripts/compare.py %s", quote(str(sweep)))


def _best(runs: Runs) -> str | None:
    """The run with the least SE/val; None where none is done."""
    done = runs.table[runs.table["status"] == DONE]
    if done.empty:
        return None
    best = done.loc[done["val/SE"].idxmin()]
    name = clipped(Path(best["path"]).name, _NAME_WIDTH)
    return f"best   {name}: SE/val {best['val/SE']:.4g}"
