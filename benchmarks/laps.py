"""The clock inside a worker: times a lap, reports it, holds the loop until asked for the next."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any


class Laps:
    """Every training loop calls `begin` before its first step and `end` after each lap, for ever.

    The first lap is the warm-up. `end` returns when the next lap is wanted and raises SystemExit
    when none is. `facts` go along with every report.
    """

    def __init__(
        self, report: Callable[[dict[str, Any]], None], wanted: Callable[[], bool]
    ) -> None:
        self.report = report
        self.wanted = wanted
        self.facts: dict[str, Any] = {}
        self._started = 0.0

    def begin(self) -> None:
        """Start the clock."""
        self._started = perf_counter()

    def end(self, steps: int) -> None:
        """Report the lap of so many optimizer steps; wait; start the clock again."""
        seconds = perf_counter() - self._started
        self.report({"seconds": seconds, "steps": steps, "facts": self.facts})
        if not self.wanted():
            raise SystemExit(0)
        self.begin()
