"""The parent's side: starts the workers, asks each for a lap in turn, gathers the times."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import IO, Any

from benchmarks.contenders import CONTENDERS
from benchmarks.workload import Task, Workload

ROOT = Path(__file__).resolve().parents[1]

SECONDS_TO_LEAVE = 10
# How a traceback names the exception; its message may go on for lines.
_ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")


class WorkerError(Exception):
    """A worker ended before it was told to; the message is the last it said."""


@dataclass
class Result:
    """Milliseconds per optimizer step by contender and round, and who could not take part."""

    workload: Workload
    steps: int
    laps: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def ratio(self, name: str, other: str) -> float | None:
        """The step of `name` in multiples of that of `other`: the median of the rounds' ratios.

        Within a round both meet the same machine, however its load changes from round to round.
        """
        if name not in self.laps or other not in self.laps:
            return None
        pairs = zip(self.laps[name], self.laps[other], strict=True)
        return median(mine / theirs for mine, theirs in pairs)


class Worker:
    """A contender's process."""

    def __init__(self, task: Task, errors: IO[str]) -> None:
        self.errors = errors
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(asdict(task))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(Path(task.data_root)) | dict(CONTENDERS[task.contender].environment),
        )

    def ask(self) -> None:
        """Ask for one more lap."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words()) from None

    def lap(self) -> dict[str, Any]:
        """Wait for the lap that was asked for, or the warm-up: seconds, steps, facts."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(self._last_words())
        return json.loads(line)

    def dismiss(self) -> None:
        """Tell the process that no more laps are wanted."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def close(self) -> None:
        """Dismiss the process and see it end."""
        self.dismiss()
        try:
            self.process.wait(SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _last_words(self) -> str:
        self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        named = [line for line in lines if _ERROR.match(line)] or lines
        return named[-1] if named else f"ended with exit code {self.process.returncode}"


def environment(data_root: Path) -> dict[str, str]:
    """What every measured process is started with: this package, these data."""
    package = os.pathsep.join(str(ROOT / part) for part in (".", "src"))
    inherited = os.environ.get("PYTHONPATH")
    return os.environ | {
        "PYTHONPATH": f"{package}{os.pathsep}{inherited}" if inherited else package,
        "ACTIVAE_DATA": str(data_root),
    }


def race(
    tasks: Sequence[Task], workload: Workload, rounds: int, tell: Callable[[str], None]
) -> Result:
    """One warm-up and then `rounds` laps of every task's contender, in turn, one at a time.

    `tell` is called with what is being done. A contender that fails is left out of the result.
    """
    result = Result(workload, tasks[0].steps if tasks else 0)
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for task in tasks:
            missing = CONTENDERS[task.contender].missing()
            if missing is not None:
                result.left_out[task.contender] = missing
                continue
            errors = stack.enter_context(TemporaryFile("w+"))
            workers[task.contender] = stack.enter_context(closing(Worker(task, errors)))
        for name, worker in workers.items():
            tell(f"{workload.name}: {name} warms up")
            _lap(name, worker, result)
        result.laps = {name: [] for name in workers if name not in result.left_out}
        for number in range(rounds):
            for name in _turn(list(result.laps), number):
                tell(f"{workload.name}: round {number + 1} of {rounds}: {name}")
                milliseconds = _lap(name, workers[name], result, ask=True)
                if milliseconds is not None:
                    result.laps[name].append(milliseconds)
        for worker in workers.values():
            worker.dismiss()  # all at once: each takes a second to go
    return result


def _lap(name: str, worker: Worker, result: Result, ask: bool = False) -> float | None:
    """Milliseconds a step; None, and the contender left out, if it fails."""
    try:
        if ask:
            worker.ask()
        lap = worker.lap()
    except WorkerError as failure:
        result.left_out[name] = str(failure)
        result.laps.pop(name, None)
        return None
    result.facts[name] = lap["facts"]
    return float(1e3 * lap["seconds"] / lap["steps"])


def _turn(names: list[str], number: int) -> list[str]:
    """Another one starts each round, so that nobody always follows the same neighbour's cache."""
    start = number % max(1, len(names))
    return names[start:] + names[:start]
