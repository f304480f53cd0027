"""Ends a run that no longer improves, or whose time is up."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from activae.training.module import AutoencoderModule


class EarlyStopping(pl.Callback):
    """Asks the trainer to stop after `patience` epochs in a row without a new lowest SE/val.

    Of a run in phases, epochs count from where its last phase begins. No run ends before
    `min_epochs`.
    """

    def __init__(self, patience: int, min_epochs: int = 0) -> None:
        self.patience = patience
        self.min_epochs = min_epochs
        self.best_score = float("inf")
        self.epochs_without = 0

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run continues counting from."""
        return {"best_score": self.best_score, "epochs_without": self.epochs_without}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting from there."""
        self.best_score = float(state_dict["best_score"])
        self.epochs_without = int(state_dict["epochs_without"])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the epoch."""
        assert isinstance(pl_module, AutoencoderModule)
        if pl_module.phase != pl_module.phases[-1]:
            return  # until the last phase, not all of the network trains
        score = pl_module.row["SE/val"]
        if score < self.best_score:
            self.best_score, self.epochs_without = score, 0
        else:
            self.epochs_without += 1
        if self.epochs_without >= self.patience and pl_module.epoch + 1 >= self.min_epochs:
            trainer.should_stop = True


class MaxTime(pl.Callback):
    """Asks the trainer to stop after the epoch in which a run has trained for so many seconds.

    Those before an interruption count. No run ends before `min_epochs`.
    """

    def __init__(self, seconds: float, min_epochs: int = 0) -> None:
        self.seconds = seconds
        self.min_epochs = min_epochs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the clock."""
        assert isinstance(pl_module, AutoencoderModule)
        if pl_module.seconds >= self.seconds and pl_module.epoch + 1 >= self.min_epochs:
            trainer.should_stop = True
