"""What a training step costs as the file grows: from 10^4 rows in memory to 10^7 on disk.

The process of one file: python -m benchmarks.rows CONFIGS FILE IN_MEMORY STEPS BUFFER_MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.laps import Laps
from benchmarks.race import environment

ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
FEATURES = 64
BATCH_SIZE = 256
ROWS_AT_A_TIME = 100_000
# A window is then some 500 steps long, so that every lap has its share of reading.
BUFFER_MB = 128.0
STEPS = 500


@dataclass
class RowsTimes:
    """By what was trained on: ms per step of each round, peak memory in MB, MB of the file."""

    steps: int
    laps: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    file_mb: dict[str, float] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """The step in multiples of that of the first: the median of the rounds' ratios."""
        first = next(iter(self.laps.values()))
        return median(its / base for its, base in zip(self.laps[name], first, strict=True))


def time_rows(
    configs: Path,
    scratch: Path,
    sizes: Sequence[int],
    rounds: int,
    steps: int,
    tell: Callable[[str], None],
) -> RowsTimes:
    """One warm-up and `rounds` laps of every file in turn, each in a process of its own."""
    times = RowsTimes(steps)
    with ExitStack() as stack:
        workers = {}
        for rows in sizes:
            tell(f"rows: {rows:,} rows are written")
            file = scratch / f"{rows}.npy"
            write_rows(file, rows)
            stack.callback(file.unlink)
            for in_memory in (True, False) if rows == sizes[0] else (False,):
                name = f"{rows:,} rows {'in memory' if in_memory else 'on disk'}"
                tell(f"rows: {name} warms up")
                workers[name] = stack.enter_context(_worker(configs, file, in_memory, steps))
                times.file_mb[name] = file.stat().st_size / 1e6
                _lap(workers[name], times, name)
        times.laps = {name: [] for name in workers}
        for number in range(rounds):
            for name, worker in workers.items():
                tell(f"rows: round {number + 1} of {rounds}: {name}")
                assert worker.stdin is not None
                worker.stdin.write("\n")
                worker.stdin.flush()
                times.laps[name].append(_lap(worker, times, name))
    return times


def write_rows(file: Path, rows: int) -> None:
    """Normally distributed numbers that 8 directions explain but for a tenth of noise."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(8, FEATURES)).astype(np.float32)
    with file.open("wb") as handle:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, FEATURES)}
        np.lib.format.write_array_header_1_0(handle, shape)
        for first in range(0, rows, ROWS_AT_A_TIME):
            count = min(ROWS_AT_A_TIME, rows - first)
            values = random.standard_normal((count, 8), dtype=np.float32) @ mixing
            values += 0.1 * random.standard_normal(values.shape, dtype=np.float32)
            values.tofile(handle)


def show_rows(times: RowsTimes, console: Console) -> None:
    """Print how the cost of a step and the memory change with the file."""
    table = Table(
        title=f"files of growing size: {FEATURES} features, batch {BATCH_SIZE}, "
        f"laps of {times.steps} steps",
        title_justify="left",
    )
    columns = ("ms per step", "median", "min - max", "of the first's", "peak MB", "file MB")
    for column in columns:
        first = column == columns[0]
        table.add_column(column, justify="left" if first else "right", no_wrap=first)
    for name, laps in times.laps.items():
        table.add_row(
            name,
            f"{median(laps):.3f}",
            f"{min(laps):.3f} - {max(laps):.3f}",
            f"{times.ratio(name):.2f} x",
            f"{times.peak_mb[name]:.0f}",
            f"{times.file_mb[name]:.0f}",
        )
    console.print(table)


def rows_as_json(times: RowsTimes | None) -> dict[str, Any]:
    """All of it as plain values; ms per step."""
    if times is None:
        return {}
    found = {
        name: {
            "rounds": laps,
            "of_the_first": times.ratio(name),
            "peak_memory_mb": times.peak_mb[name],
            "file_mb": times.file_mb[name],
        }
        for name, laps in times.laps.items()
    }
    return {"rows": {"steps_per_round": times.steps, "files": found}}


def _worker(configs: Path, file: Path, in_memory: bool, steps: int) -> subprocess.Popen[str]:
    settings = (str(configs), str(file), str(in_memory).lower(), str(steps), str(BUFFER_MB))
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.rows", *settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(file.parent),
    )


def _lap(worker: subprocess.Popen[str], times: RowsTimes, name: str) -> float:
    """Milliseconds a step."""
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise RuntimeError(f"the process of {name} ended with exit code {worker.wait()}")
    lap = json.loads(line)
    times.peak_mb[name] = lap["facts"]["peak_mb"]
    return float(1e3 * lap["seconds"] / lap["steps"])


def train_on(overrides: Sequence[str], configs: Path, steps: int, laps: Laps) -> None:
    """Steps of the default network on a file, one after the other, until no more are wanted."""
    import torch

    from activae.results.evaluation import peak_memory_mb
    from activae.training.assembly import build_data, build_model
    from activae.training.eager_step import EagerStep
    from activae.training.process import process_state
    from benchmarks.ours import config

    cfg = config(configs, ("data=array", "trainer=cpu", "encoding.dim=8", *overrides))
    with process_state(cfg.seed):
        torch.set_num_threads(1)
        data = build_data(cfg)
        model = build_model(cfg, data)
        optimizer = model.current_optimizer()
        step = EagerStep(model.net, model.objective, optimizer, model.clipping)
        batches = data.batches(0, sys.maxsize)
        laps.begin()
        while True:
            for number in range(steps):
                step(model.training_batch(next(batches), number), 1.0)
            laps.facts["peak_mb"] = peak_memory_mb()["process"]
            laps.end(steps)


def main() -> None:
    """The process of one file: a line on standard input asks for a lap, which is reported."""
    configs, file, in_memory, steps, buffer_mb = sys.argv[1:]
    overrides = (
        f"data.path='{file}'",
        f"data.source.in_memory={in_memory}",
        f"data.source.buffer_mb={buffer_mb}",
        f"data.batch_size={BATCH_SIZE}",
    )
    laps = Laps(
        lambda lap: print(json.dumps(lap), flush=True), wanted=lambda: bool(sys.stdin.readline())
    )
    train_on(overrides, Path(configs), int(steps), laps)


if __name__ == "__main__":
    main()
