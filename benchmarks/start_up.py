"""Whole processes by the clock: `--help`, the default run, and what recording it costs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.race import environment

_IMPORTED = re.compile(r"^import time:.*\|\s*torch$", re.MULTILINE)


@dataclass
class StartUp:
    """Wall-clock seconds, one a round.

    `default` is `python train.py`; `minimal` the same with neither TensorBoard nor progress; `bare`
    only imports, composes, builds and fits, without validation: nothing is recorded or scored.
    """

    help: list[float]
    default: list[float]
    minimal: list[float]
    bare: list[float]
    help_imports_torch: bool

    def overhead(self, without: str) -> float:
        """The share of the default run's time that the run `without` does not take: a median."""
        others = getattr(self, without)
        return median(1 - other / whole for other, whole in zip(others, self.default, strict=True))


def commands(root: Path) -> dict[str, list[str]]:
    """What is timed, as arguments to Python: the commands of the project at `root`, and `bare`."""
    train = str(root / "train.py")
    bare = (
        "import sys, pathlib; from benchmarks.ours import train_bare; "
        "train_bare(pathlib.Path(sys.argv[1]))"
    )
    return {
        "help": [train, "--help"],
        "default": [train],
        "minimal": [train, "logger=minimal", "logger.progress_bar=false"],
        "bare": ["-c", bare, str(root / "configs")],
    }


def measure_start_up(
    timed: Mapping[str, list[str]], scratch: Path, rounds: int, tell: Callable[[str], None]
) -> StartUp:
    """Run each of the commands in turn, `rounds` times, in the folder `scratch`.

    Raises RuntimeError, with what it said, if one of them fails.
    """
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds):
        for name, command in timed.items():
            tell(f"start-up: round {number + 1} of {rounds}: {name}")
            seconds[name].append(_seconds(command, scratch))
    return StartUp(**seconds, help_imports_torch=imports_torch(timed["help"], scratch))


def imports_torch(command: list[str], folder: Path) -> bool:
    """Whether Python imports torch in the course of the command."""
    return bool(_IMPORTED.search(_run(["-X", "importtime", *command], folder).stderr))


def _seconds(command: list[str], folder: Path) -> float:
    started = perf_counter()
    _run(command, folder)
    return perf_counter() - started


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr or done.stdout}")
    return done
