"""Time an optimizer step of this project beside other ways to train the same network.

    python -m benchmarks                             everything, a few minutes
    python -m benchmarks --only article raw ours     two contenders on one workload
    python -m benchmarks --only sweep                40 runs on MNIST, a quarter of an hour
    python -m benchmarks --only rows                 files of 10^4 to 10^7 rows, 3 GB in all
    python -m benchmarks --only use                  a finished run on 1 to 10^5 samples
    python -m benchmarks --only sample               10^5 new MNIST images of each sampler
    python -m benchmarks --json figures.json

Steps are timed on the CPU. MNIST is read from the folder that ACTIVAE_DATA names (default: data);
where it is absent, random images of its size take its place. What each contender is, and figures
of a run: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from activae.results.machine import machine_facts
from benchmarks.contenders import CONTENDERS
from benchmarks.race import Result, race
from benchmarks.report import as_json, show_result, show_start_up, show_verdicts
from benchmarks.rows import ROWS, STEPS, RowsTimes, rows_as_json, show_rows, time_rows
from benchmarks.sampling import (
    SAMPLES,
    SamplingTimes,
    sampling_as_json,
    show_sampling,
    time_sampling,
)
from benchmarks.start_up import commands, measure_start_up
from benchmarks.sweep import (
    BATCH_SIZES,
    GRIDS,
    Setting,
    SweepTimes,
    time_members,
    time_sweep,
)
from benchmarks.sweep_report import show_members, show_sweep, sweeps_as_json
from benchmarks.targets import verdicts
from benchmarks.use import SIZES, UseTimes, show_use, time_use, trained, use_as_json
from benchmarks.workload import MNIST, WORKLOADS, Task, Workload, has_mnist, write_stand_in

ROOT = Path(__file__).resolve().parents[1]
START_UP = "start-up"
START_UP_ROUNDS = 3
SWEEP = "sweep"
SWEEP_ROUNDS = 2
GROWING = "rows"
USE = "use"
SAMPLE = "sample"
OTHERS = (START_UP, SWEEP, GROWING, USE, SAMPLE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the arguments ask for, print it, and write it where they say."""
    options = _parser().parse_args(arguments)
    parts = [name for name in (*WORKLOADS, *OTHERS) if name in options.only]
    names = [name for name in CONTENDERS if name in options.only] or list(CONTENDERS)
    # Contenders alone ask for every workload, but for no whole runs, in which they have no part.
    parts = parts or [*WORKLOADS, *([] if options.only else [START_UP])]
    console = Console()
    machine = machine_facts()
    console.print(
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']:.1f}; "
        f"torch {machine['packages']['torch']}",
        highlight=False,
    )
    results: dict[str, Result] = {}
    start_up = None
    sweeps: list[SweepTimes] = []
    members: dict[int, tuple[float, int]] = {}
    growing: RowsTimes | None = None
    used: UseTimes | None = None
    sampled: SamplingTimes | None = None
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="activae-benchmark-")))
        status = stack.enter_context(console.status("starts"))
        for name in parts:
            if name == START_UP:
                rounds = min(options.rounds, START_UP_ROUNDS)
                start_up = measure_start_up(commands(ROOT), scratch, rounds, status.update)
                show_start_up(start_up, console)
                continue
            if name == SWEEP:
                sweeps, members = _time_sweeps(options, scratch, status.update, console)
                continue
            if name == GROWING:
                steps = options.steps or STEPS
                sizes = [rows for rows in ROWS if rows <= options.most_rows]
                growing = time_rows(
                    ROOT / "configs", scratch, sizes, options.rounds, steps, status.update
                )
                show_rows(growing, console)
                continue
            if name == USE:
                sizes = [samples for samples in SIZES if samples <= options.most_samples]
                folder = trained(ROOT / "configs", scratch)
                used = time_use(folder, scratch, sizes, options.rounds, status.update)
                show_use(used, console)
                continue
            if name == SAMPLE:
                root = _data_root(MNIST, scratch, console)
                folder = trained(ROOT / "configs", scratch, "data=mnist", f"data.root='{root}'")
                count = min(SAMPLES, options.most_samples)
                sampled = time_sampling(folder, count, options.rounds, status.update)
                show_sampling(sampled, console)
                continue
            workload = WORKLOADS[name]
            data_root = _data_root(workload, scratch, console)
            tasks = _tasks(workload, names, options.steps, data_root, scratch)
            results[name] = race(tasks, workload, options.rounds, status.update)
            show_result(results[name], options.rounds, console)
    judged = verdicts(results, start_up, sweeps, sampled)
    if judged:
        show_verdicts(judged, console)
    if options.json is not None:
        everything = as_json(machine, results, start_up, judged)
        everything |= sweeps_as_json(sweeps, members) | rows_as_json(growing) | use_as_json(used)
        everything |= sampling_as_json(sampled)
        options.json.write_text(json.dumps(everything, indent=2) + "\n")
        console.print(f"figures  {options.json}", highlight=False)


def _time_sweeps(
    options: argparse.Namespace, scratch: Path, tell: Callable[[str], None], console: Console
) -> tuple[list[SweepTimes], dict[int, tuple[float, int]]]:
    """The sweep beside its rivals at each batch size, and sweeps of growing size."""
    data_root = _data_root(MNIST, scratch, console)
    setting = Setting(ROOT, data_root, scratch, options.device)
    rounds = min(options.rounds, SWEEP_ROUNDS)
    sweeps = []
    for batch_size in options.batch_sizes:
        sweeps.append(time_sweep(setting, batch_size, options.epochs, rounds, tell))
        show_sweep(sweeps[-1], console)
    members = time_members(setting, options.members, tell)
    show_members(members, console)
    return sweeps, members


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        default=7,
        help="laps of each contender, in turn (default 7; whole commands: at most "
        f"{START_UP_ROUNDS})",
    )
    parser.add_argument(
        "--steps",
        type=_positive,
        help="optimizer steps of a lap, rounded up to whole epochs (default: 320 on the article's "
        "workload, 211 on MNIST)",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        choices=[*WORKLOADS, *OTHERS, *CONTENDERS],
        metavar="PART",
        help=f"workloads ({', '.join(WORKLOADS)}), {START_UP} (whole commands), "
        f"{SWEEP}, {GROWING}, {USE} and {SAMPLE} (only where they are named), "
        f"contenders ({', '.join(CONTENDERS)})",
    )
    of_sweep = parser.add_argument_group(f"of the part {SWEEP}")
    of_sweep.add_argument("--epochs", type=_positive, default=5, help="of each run (default 5)")
    of_sweep.add_argument(
        "--batch-sizes", type=_positive, nargs="*", default=BATCH_SIZES, help="default 32 256"
    )
    of_sweep.add_argument(
        "--members",
        type=int,
        nargs="*",
        default=[1, 10, 100],
        choices=GRIDS,
        help="sizes of sweeps on the article's data (default 1 10 100)",
    )
    of_sweep.add_argument("--device", default="cpu", choices=["cpu", "gpu"], help="default cpu")
    parser.add_argument(
        "--most-rows",
        type=_positive,
        default=ROWS[-1],
        help=f"of the part {GROWING}: no larger files (default 10,000,000 rows, 2.6 GB)",
    )
    parser.add_argument(
        "--most-samples",
        type=_positive,
        default=100_000,
        help=f"of the parts {USE} and {SAMPLE}: no more at a time (default "
        "100,000; 1,000,000 take 20 GB)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return number


def _data_root(workload: Workload, scratch: Path, console: Console) -> Path:
    """The folder with MNIST, or one with a stand-in, about which the user is told."""
    root = Path(os.environ.get("ACTIVAE_DATA", "data")).expanduser().resolve()
    if workload is not MNIST or has_mnist(root):
        return root
    console.print(
        f"note     no MNIST in {root} (ACTIVAE_DATA names another folder): random images of its "
        "size take its place",
        highlight=False,
    )
    write_stand_in(scratch)
    return scratch


def _tasks(
    workload: Workload, names: Sequence[str], steps: int | None, data_root: Path, scratch: Path
) -> list[Task]:
    epochs = ceil(steps / workload.steps_per_epoch) if steps else workload.epochs
    return [
        Task(name, workload.name, epochs, str(ROOT / "configs"), str(data_root), str(scratch))
        for name in names
        if workload.name in CONTENDERS[name].workloads
    ]


if __name__ == "__main__":
    main()
