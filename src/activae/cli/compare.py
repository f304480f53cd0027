"""The command line that says which condition of a sweep wins: options, messages, exit codes."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from activae.cli.end_requests import reader_may_leave
from activae.compare.answer import Answer, answer
from activae.compare.closing import table_as
from activae.compare.collect import Runs, read_runs
from activae.compare.latex import latex
from activae.compare.report.page import write_page
from activae.compare.report.paper import draw
from activae.compare.summary import write_summary
from activae.compare.terminal import shown
from activae.errors import UserError


def main(
    arguments: Sequence[str] | None = None, description: str = "", program: str | None = None
) -> int:
    """Do what the arguments ask for; return the exit code: 1 where runs cannot be compared.

    description and program are what --help says of the command and calls it.
    """
    options = _parser(description, program).parse_args(arguments)
    try:
        by = list(dict.fromkeys(filter(None, map(str.strip, (options.by or "").split(",")))))
        runs = read_runs(options.paths)
        found = answer(runs, by, options.metric, options.baseline, options.where)
        write(found, runs, options)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with reader_may_leave():
        print(shown(found))
    return 0


def write(found: Answer, runs: Runs, options: argparse.Namespace) -> None:
    """Write what is asked for: the table, the whole answer, the report, the table of runs."""
    if options.csv:
        found.table.to_csv(options.csv, index=False)
    if options.json:
        values = {name: value for name, value in vars(found).items() if name != "paired"}
        values["table"] = found.table.to_dict("records")
        options.json.write_text(json.dumps(_plain(values), indent=2, allow_nan=False) + "\n")
    if options.html:
        write_page(found, options.html)
    if options.latex:
        options.latex.write_text(latex(found))
    if options.png:
        draw(found, options.png)
    if options.tensorboard:
        write_summary(found, options.tensorboard)
    if options.runs:
        options.runs.write_bytes(table_as(options.runs, runs.table))


def _plain(value: Any) -> Any:
    """The value as JSON knows it: null for what is not a finite number."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parser(description: str, program: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a folder that holds runs")
    parser.add_argument(
        "--by",
        metavar="KEY[,KEY]",
        help="what to compare (default: activation where that varies, otherwise what does)",
    )
    parser.add_argument(
        "--metric",
        help="a figure of metrics.json (default: test/SE; val/SE where runs lack it; "
        "samples/frechet where samplers alone differ)",
    )
    parser.add_argument(
        "--baseline",
        metavar="NAME",
        help="compare all with this one, adjusted by Holm (default: with the best, all pairs "
        "adjusted by max-T)",
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only runs with this value, or one of these; given several times: values of the same "
        "key are added, those of several keys must all hold",
    )
    for option, written in (
        ("--html", "the report: verdict, figures, table, caveats, one page for a browser"),
        ("--csv", "the table of conditions"),
        ("--json", "the whole answer"),
        ("--latex", "the table for a paper, with booktabs"),
        ("--png", "the intervals as a picture (PNG, PDF or SVG); needs matplotlib"),
        ("--runs", "the table of runs, a row each: CSV, or Parquet by the file's ending"),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=f"write {written}")
    parser.add_argument(
        "--tensorboard",
        type=Path,
        metavar="FOLDER",
        help="write mean curves with seed bands, the table and the intervals for TensorBoard",
    )
    return parser
