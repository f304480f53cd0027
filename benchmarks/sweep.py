"""A sweep by the clock, imports included: 8 activations x 5 seeds, the article's network, MNIST.

This project's sweep is run whole. What trains one network at a time is run once, and its 40 runs
are taken to last its start-up and 40 times the rest. The bound is the time that the matrix products
of all steps take on all cores at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

from activae.training.process import cores
from benchmarks.contenders import CONTENDERS
from benchmarks.race import environment
from benchmarks.workload import MNIST, NETWORK

ACTIVATIONS = ("relu", "tanh", "gelu", "silu", "elu", "selu", "sigmoid", "mish")
SEEDS = 5
RUNS = len(ACTIVATIONS) * SEEDS
BATCH_SIZES = (32, 256)
STACKED = "stacked"
# What stands beside the sweep.
RIVALS = {
    "one": "activae, one run at a time",
    "keras": "Keras, one fit at a time",
    "usual": "the usual Lightning way, one fit at a time",
    "products": "bound: the matrix products on all cores",
}
# (activations, learning rates, seeds) of sweeps with so many members.
GRIDS = {1: (1, 1, 1), 10: (1, 1, 10), 100: (2, 5, 10), 1000: (20, 5, 10)}
MANY = (
    *ACTIVATIONS,
    *("leaky_relu", "celu", "softplus", "softsign", "hardtanh", "hardswish", "hardsigmoid"),
    *("relu6", "sin", "snake", "tanhshrink", "gelu_tanh"),
)

ARTICLE_EPOCHS = 10
ARTICLE_STEPS = ARTICLE_EPOCHS * 32


@dataclass
class SweepTimes:
    """Seconds by contender and round for a batch size; what was left out, and why."""

    batch_size: int
    epochs: int
    steps: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def ratio(self, name: str, other: str) -> float | None:
        """How many times as long `name` takes as `other`: the median of the rounds' ratios."""
        if name not in self.seconds or other not in self.seconds:
            return None
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return median(mine / theirs for mine, theirs in pairs)


@dataclass(frozen=True)
class Setting:
    """Where the project and MNIST lie, where folders can be made, and on what to train."""

    root: Path
    data_root: Path
    scratch: Path
    device: str


def time_sweep(
    setting: Setting, batch_size: int, epochs: int, rounds: int, tell: Callable[[str], None]
) -> SweepTimes:
    """Time the sweep and its rivals in turn, `rounds` times."""
    steps = epochs * -(-MNIST.samples // batch_size)
    times = SweepTimes(batch_size, epochs, steps)
    names = [STACKED]
    for name in RIVALS:
        missing = CONTENDERS[name].missing() if name in CONTENDERS else None
        if missing is None:
            names.append(name)
        else:
            times.left_out[name] = missing
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            tell(f"sweep, batch {batch_size}: round {number + 1} of {rounds}: {name}")
            seconds = _seconds(name, setting, times, number)
            times.seconds.setdefault(name, []).append(seconds)
    return times


def time_members(
    setting: Setting, members: Sequence[int], tell: Callable[[str], None]
) -> dict[int, tuple[float, int]]:
    """Seconds and model-steps of sweeps on the article's data, by the number of members."""
    found = {}
    for count in members:
        tell(f"a sweep of {count}")
        activations, rates, seeds = GRIDS[count]
        grid = (
            f"activation={','.join(MANY[:activations])}",
            f"optimizer.lr={','.join(str(1e-4 * 3**k) for k in range(rates))}",
            f"seed=range({seeds})",
            *_article(setting.device),
        )
        seconds = _clock(_sweep(setting, f"members-{count}", grid), setting)
        found[count] = (seconds, count * ARTICLE_STEPS)
    return found


def _article(device: str) -> tuple[str, ...]:
    data = ("data=random", "data.source.samples=1250", "data.val_fraction=0.1")
    length = ("data.test_fraction=0.1", f"trainer.max_epochs={ARTICLE_EPOCHS}", "logger=minimal")
    return (*_network(device), *data, "data.batch_size=32", *length)


def _network(device: str) -> Iterator[str]:
    """The article's network; which activation, and on what it is trained, is said elsewhere."""
    yield from (line for line in NETWORK if not line.startswith(("activation=", "trainer=")))
    yield f"trainer={device}"


def _seconds(name: str, setting: Setting, times: SweepTimes, number: int) -> float:
    """How long 40 runs take, one way or the other."""
    length = (f"data.batch_size={times.batch_size}", f"trainer.max_epochs={times.epochs}")
    run = (*_network(setting.device), *MNIST.data, *length)
    if name == STACKED:
        grid = (f"activation={','.join(ACTIVATIONS)}", f"seed=range({SEEDS})")
        name = f"sweep-{times.batch_size}-{number}"
        return _clock(_sweep(setting, name, (*grid, *run)), setting)
    if name == "one":
        folder = setting.scratch / f"one-{times.batch_size}-{number}"
        command = [str(setting.root / "train.py"), *run, f"hydra.run.dir={folder}"]
        whole = _clock(command, setting)
        training = json.loads((folder / "metrics.json").read_text())["seconds"]["all"]
        return whole + (RUNS - 1) * float(training)
    if name == "products":
        return RUNS * times.steps * _product_seconds(setting, times.batch_size)
    module = ["-m", "benchmarks.one_fit", name]
    command = [*module, str(setting.data_root), str(times.batch_size), str(times.epochs)]
    started = perf_counter()
    training = float(_run(command, setting, dict(CONTENDERS[name].environment)))
    return perf_counter() - started + (RUNS - 1) * training


def _sweep(setting: Setting, folder: str, overrides: Sequence[str]) -> list[str]:
    place = f"hydra.sweep.dir={setting.scratch / folder}"
    return [str(setting.root / "train.py"), "-m", *overrides, place]


def _product_seconds(setting: Setting, batch_size: int) -> float:
    """Per step, with a single-threaded process at work on each core."""
    command = ["-m", "benchmarks.one_fit", "products", "", str(batch_size), "1"]
    processes = [_start(command, setting, {"OMP_NUM_THREADS": "1"}) for _ in range(cores())]
    each = [float(_output(process)) for process in processes]
    return max(each) / len(each)


def _clock(command: Sequence[str], setting: Setting) -> float:
    started = perf_counter()
    _run(command, setting, {})
    return perf_counter() - started


def _run(command: Sequence[str], setting: Setting, extra: dict[str, str]) -> str:
    return _output(_start(command, setting, extra))


def _start(
    command: Sequence[str], setting: Setting, extra: dict[str, str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=setting.scratch,
        env=environment(setting.data_root) | extra,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _output(process: subprocess.Popen[str]) -> str:
    """The last line that a process prints. Raises RuntimeError with its errors if it fails."""
    out, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, process.args))} failed:\n{errors or out}")  # type: ignore[arg-type]
    return out.strip().splitlines()[-1]
