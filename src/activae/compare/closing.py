"""What a sweep says at its end: the verdict on all runs in its folder."""

from __future__ import annotations

import logging
from pathlib import Path
from shlex import quote
from textwrap import fill

from activae.compare.answer import answer
from activae.compare.collect import read_runs
from activae.compare.terminal import WIDTH
from activae.errors import UserError

log = logging.getLogger(__name__)


def tell_verdict(sweep: Path) -> None:
    """Log the verdict on a sweep's folder; nothing where its runs are not a comparison."""
    try:
        verdict = answer(read_runs([sweep])).verdict
    except UserError:  # one condition, say, or several keys that vary: compare.py would ask which
        return
    log.info(fill(f"answer {verdict}", WIDTH, subsequent_indent=" " * 7))
    log.info("       more: python scripts/compare.py %s", quote(str(sweep)))
