"""`hydra/launcher=stacked`: all jobs of a sweep at once, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._base import SweepLauncher

if TYPE_CHECKING:
    from activae.sweeps.launch import Engine


class StackedLauncher(SweepLauncher):
    """Trains alike runs together."""

    def __init__(self, workers: int | None, compile: bool | None, stack: bool | None) -> None:
        self.workers = workers
        self.compile = compile
        self.stack = stack

    def engine(self) -> Engine:
        """As many processes as there are cores."""
        from activae.sweeps.local import train_here

        return train_here(self.workers, self.compile, self.stack)
