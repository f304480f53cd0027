"""What a sweep leaves at its end: the verdict on all runs in its folder, a table and a page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from textwrap import fill

from activae.compare.answer import answer
from activae.compare.collect import read_runs
from activae.compare.terminal import WIDTH
from activae.errors import UserError
from activae.results.run_folder import write_text

log = logging.getLogger(__name__)

TABLE = "results.csv"


def tell_verdict(sweep: Path) -> None:
    """Log the verdict on a sweep's folder, and write its runs' table and its report there.

    Nothing where its runs are not a comparison, but for the table. What cannot be drawn or written
    costs neither runs nor verdict.
    """
    try:
        runs = read_runs([sweep])
    except UserError:  # none has got as far as a config
        return
    with _beside_the_runs(sweep / TABLE):
        write_text(sweep / TABLE, runs.table.to_csv(index=False), durable=False)
    try:
        found = answer(runs)
    except UserError:  # one condition, say, or several keys that vary: compare.py would ask which
        return
    log.info(fill(f"answer {found.verdict}", WIDTH, subsequent_indent=" " * 7))
    log.info("       more: python scripts/compare.py %s", quote(str(sweep)))
    from activae.compare.page import REPORT, write_page

    with _beside_the_runs(sweep / REPORT):
        write_page(found, sweep / REPORT)
        log.info("page   %s", sweep / REPORT)


@contextmanager
def _beside_the_runs(file: Path) -> Iterator[None]:
    """Around the writing of what can be written anew at any time: a failure is told, no more."""
    told = "%s: could not be written; the runs and the verdict are not affected"
    try:
        yield
    except OSError as error:
        log.warning(f"{told} (%s)", file, error.strerror)
    except Exception:
        log.warning(f"{told}. The cause:", file, exc_info=True)
