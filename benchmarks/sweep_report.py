"""What was measured of sweeps, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import CONTENDERS
from benchmarks.sweep import RIVALS, RUNS, STACKED, SweepTimes

_TITLES = {STACKED: "activae, stacked", **RIVALS}


def show_sweep(times: SweepTimes, console: Console) -> None:
    """Print how long the sweep takes, one way or the other."""
    table = Table(
        title=f"sweep: {RUNS} runs of {times.steps} steps, MNIST, batch {times.batch_size}",
        title_justify="left",
    )
    for column in ("seconds", "median", "min - max", "model-steps/s", "stacked / it"):
        table.add_column(column, justify="left" if column == "seconds" else "right")
    for name, seconds in times.seconds.items():
        ratio = times.ratio(STACKED, name)
        table.add_row(
            _TITLES[name],
            f"{median(seconds):.1f}",
            f"{min(seconds):.1f} - {max(seconds):.1f}",
            f"{RUNS * times.steps / median(seconds):,.0f}",
            "" if ratio is None or name == STACKED else f"{ratio:.3f}",
        )
    console.print(table)
    for name, reason in times.left_out.items():
        console.print(f"left out {CONTENDERS[name].title}: {reason}", highlight=False, markup=False)


def show_members(members: Mapping[int, tuple[float, int]], console: Console) -> None:
    """Print how the cost of a sweep grows with its members, imports included."""
    if not members:
        return
    table = Table(title="sweeps of growing size, the article's data", title_justify="left")
    for column in ("members", "seconds", "model-steps/s", "of the smallest's time"):
        table.add_column(column, justify="right")
    first = members[min(members)][0]
    for count, (seconds, steps) in members.items():
        table.add_row(
            str(count), f"{seconds:.1f}", f"{steps / seconds:,.0f}", f"{seconds / first:.1f} x"
        )
    console.print(table)


def sweeps_as_json(
    sweeps: Sequence[SweepTimes], members: Mapping[int, tuple[float, int]]
) -> dict[str, Any]:
    """All of it as plain values; seconds of wall-clock time."""
    ratios = [
        {"stacked_over_it": {name: times.ratio(STACKED, name) for name in times.seconds}}
        for times in sweeps
    ]
    return {
        "sweeps": [asdict(times) | ratio for times, ratio in zip(sweeps, ratios, strict=True)],
        "members": {
            count: {"seconds": seconds, "model_steps": steps}
            for count, (seconds, steps) in members.items()
        },
    }
