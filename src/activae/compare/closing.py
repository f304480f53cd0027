"""What a sweep leaves at its end: the verdict on all runs in its folder, a table and a page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from activae.compare.answer import Answer, answer, told_of_search
from activae.compare.collect import DONE, Runs, read_runs
from activae.compare.commands import is_search
from activae.config.program import comparing
from activae.config.wording import clipped, wrapped
from activae.errors import UserError
from activae.results.events import SUMMARY
from activae.training.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

TABLE, PARQUET, REPORT = "results.csv", "results.parquet", "report.html"
_NAME_WIDTH = 60


def tell_verdict(sweep: Path) -> None:
    """Log the verdict on a sweep's folder; where its runs are no comparison, the best and why.

    The table of its runs and the report are written there. What cannot be drawn or written costs
    neither runs nor verdict.
    """
    try:
        runs = read_runs([sweep])
    except UserError:  # not one run was begun
        return
    found = _answer(runs, sweep)
    if isinstance(found, Answer):
        _tell(f"answer {found.verdict}")
        log.info("       more: %s %s", comparing(), quote(str(sweep)))
        _leave_page(found, sweep)
        return
    _withdraw_page(sweep)
    if (best := _best(runs)) is not None:
        _tell(best)
        _tell(f"note   no answer: {found}")


def tell_of_search(sweep: Path) -> None:
    """Log what a search is no answer to, and what to run for one; leave the table of its runs."""
    with suppress(UserError):  # not one run was begun
        _leave_table(read_runs([sweep]), sweep)
        if is_search(sweep):  # it has a best trial
            _tell(f"note   no answer: {told_of_search(sweep)}")


def leave_page(sweep: Path) -> None:
    """As `tell_verdict`, for a race, which has told its verdict itself."""
    with suppress(UserError):  # not one run was begun
        found = _answer(read_runs([sweep]), sweep)
        if isinstance(found, Answer):
            _leave_page(found, sweep)
        else:
            _withdraw_page(sweep)


def _answer(runs: Runs, sweep: Path) -> Answer | UserError:
    """The answer, or why there is none; the table is left in the folder."""
    _leave_table(runs, sweep)
    try:
        return answer(runs)
    except UserError as error:  # one condition, say, or several keys that vary
        return error


def _leave_table(runs: Runs, sweep: Path) -> None:
    # pandas has imported pyarrow already, where it is installed.
    for name in (TABLE, *([PARQUET] if find_spec("pyarrow") else [])):
        with _beside_the_runs(sweep / name):
            write_whole(sweep / name, table_as(sweep / name, runs.table), durable=False)


def table_as(file: Path, table: pd.DataFrame) -> bytes:
    """The table of runs as the file's content: Parquet where its name ends so, or CSV.

    Raises UserError where pyarrow is not installed.
    """
    if file.suffix != ".parquet":
        return table.to_csv(index=False).encode()
    mixed = table.select_dtypes("object")  # of one type in Parquet: None, or its text
    texts = mixed.map(lambda value: value if value is None else str(value))
    content = BytesIO()
    try:
        table.assign(**texts).to_parquet(content, index=False)
    except ImportError as error:
        raise UserError(f"{file}: needs pyarrow: pip install 'activae[parquet]'") from error
    return content.getvalue()


def _leave_page(found: Answer, sweep: Path) -> None:
    with _beside_the_runs(sweep / REPORT):
        from activae.compare.report.page import write_page

        write_page(found, sweep / REPORT)
        log.info("page   %s", sweep / REPORT)
    if _in_tensorboard(found):
        with _beside_the_runs(sweep / SUMMARY):
            from activae.compare.summary import write_summary

            write_summary(found, sweep / SUMMARY)


def _in_tensorboard(found: Answer) -> bool:
    """Whether the runs themselves are: with `logger=minimal` nobody asked for it."""
    switch = "logger.tensorboard"
    runs = found.paired.runs
    return switch in runs and True in set(runs[switch])


def _withdraw_page(sweep: Path) -> None:
    """Remove the page of an earlier answer: the folder's runs are no comparison any more."""
    with _beside_the_runs(sweep / REPORT):
        if (sweep / REPORT).exists():
            (sweep / REPORT).unlink()
            log.info("page   %s: removed, its runs are no comparison any more", sweep / REPORT)


def _tell(said: str) -> None:
    log.info("%s", wrapped(said))


def _best(runs: Runs) -> str | None:
    """The run with the least SE/val; None where none is done."""
    done = runs.table[runs.table["status"] == DONE]
    if done.empty:
        return None
    best = done.loc[done["val/SE"].idxmin()]
    name = clipped(Path(best["path"]).name, _NAME_WIDTH)
    return f"best   {name}: SE/val {best['val/SE']:.4g}"


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
