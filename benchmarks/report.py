"""What was measured, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import CONTENDERS
from benchmarks.race import Result
from benchmarks.start_up import StartUp
from benchmarks.targets import Verdict, eager_remark

_REACHED = {True: "reached", False: "[bold]missed[/bold]", None: ""}


def show_result(result: Result, rounds: int, console: Console) -> None:
    """Print one workload's table, and who was left out of it."""
    table = Table(
        title=f"{result.workload.title}; {rounds} rounds of {result.steps} steps",
        title_justify="left",
    )
    for column, justify in (
        ("ms per step", "left"),
        ("threads", "right"),
        ("median", "right"),
        ("min - max", "right"),
        ("ours / it", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name, laps in result.laps.items():
        ratio = result.ratio("ours", name)
        table.add_row(
            CONTENDERS[name].title,
            str(result.facts[name].get("threads", "default")),
            f"{median(laps):.3f}",
            f"{min(laps):.3f} - {max(laps):.3f}",
            "" if ratio is None or name == "ours" else f"{ratio:.2f}",
        )
    console.print(table)
    for name in result.laps:
        if remark := eager_remark(result, name):
            console.print(f"note     {remark}: its row shows the eager step", highlight=False)
    for name, reason in result.left_out.items():
        console.print(f"left out {CONTENDERS[name].title}: {reason}", highlight=False, markup=False)


def show_start_up(start_up: StartUp, console: Console) -> None:
    """Print the wall times of whole commands."""
    table = Table(title="whole commands, imports included", title_justify="left")
    table.add_column("seconds")
    table.add_column("median", justify="right")
    table.add_column("min - max", justify="right")
    for title, seconds in (
        ("python train.py --help", start_up.help),
        ("python train.py", start_up.default),
        ("... logger=minimal logger.progress_bar=false", start_up.minimal),
        ("the same training, nothing recorded or scored", start_up.bare),
    ):
        table.add_row(title, f"{median(seconds):.2f}", f"{min(seconds):.2f} - {max(seconds):.2f}")
    console.print(table)


def show_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print each promise with what was measured."""
    table = Table(title="targets", title_justify="left")
    for column in ("", "measured", "at most", ""):
        table.add_column(column, justify="right" if column else "left")
    for verdict in verdicts:
        measured = "" if verdict.measured is None else f"{verdict.measured:.3g} {verdict.unit}"
        limit = f"{verdict.limit:.3g} {verdict.unit}"
        said = verdict.remark or _REACHED[verdict.reached]
        table.add_row(verdict.promise, measured, limit, said)
    console.print(table)


def as_json(
    machine: Mapping[str, Any],
    results: Mapping[str, Result],
    start_up: StartUp | None,
    verdicts: Sequence[Verdict],
) -> dict[str, Any]:
    """All of it as plain values; times in ms per step, and in seconds for whole commands."""
    return {
        "machine": dict(machine),
        "workloads": {name: _result(result) for name, result in results.items()},
        "start_up": start_up and asdict(start_up),
        "targets": [asdict(verdict) | {"reached": verdict.reached} for verdict in verdicts],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "title": result.workload.title,
        "batch_size": result.workload.batch_size,
        "steps_per_round": result.steps,
        "contenders": {
            name: {
                "title": CONTENDERS[name].title,
                "median": median(laps),
                "min": min(laps),
                "max": max(laps),
                "rounds": laps,
                "ours_over_it": result.ratio("ours", name),
                **result.facts[name],
            }
            for name, laps in result.laps.items()
        },
        "left_out": result.left_out,
    }
