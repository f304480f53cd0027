"""Laps of a Lightning training."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl

from benchmarks.laps import Laps


class LightningLaps(pl.Callback):
    """Ends a lap every few epochs; `steps` counts the optimizer steps taken so far."""

    def __init__(self, laps: Laps, epochs: int, steps: Callable[[], int]) -> None:
        self.laps = laps
        self.epochs = epochs
        self.steps = steps
        self._before = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock: what Lightning sets up once is no part of a step."""
        self.laps.begin()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the lap if it has had its epochs."""
        if (trainer.current_epoch + 1) % self.epochs == 0:
            before, self._before = self._before, self.steps()
            self.laps.end(self._before - before)
