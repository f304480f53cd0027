"""The process of one contender: python -m benchmarks.worker TASK, spoken to by `race`.

Each line on standard input asks for one more lap, its end for none; each line on standard output
reports one, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.laps import Laps
from benchmarks.workload import Task


def main() -> None:
    """Run the contender that the task names until no more laps are wanted."""
    task = Task(**json.loads(sys.argv[1]))
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no report

    def report(lap: dict[str, Any]) -> None:
        reports.write(json.dumps(lap) + "\n")

    module, function = CONTENDERS[task.contender].function.split(":")
    laps = Laps(report, wanted=lambda: bool(sys.stdin.readline()))
    getattr(import_module(module), function)(task, laps)


if __name__ == "__main__":
    main()
