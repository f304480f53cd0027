"""`hydra/sweeper=grid`: every combination of the values given, as Hydra's basic sweeper has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class GridSweeper(BasicSweeper):
    """Leaves it to the launcher to compose each job, and so to check it, instead of doing it twice.

    Composing takes 0.1 s a job.
    """

    def __init__(self, max_batch_size: int | None, params: dict[str, Any] | None) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing: `activae.sweeps.launch` composes all jobs before it trains the first."""
