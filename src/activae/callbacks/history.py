"""The history of a run as one CSV file, a row an epoch."""

from __future__ import annotations

import csv
from pathlib import Path

import pytorch_lightning as pl

from activae.models.autoencoder import AutoencoderModule


class History(pl.Callback):
    """Appends the epoch's figures to a CSV file; a resumed run drops the rows it will write again."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep only the rows of steps before the one fitting starts at."""
        assert isinstance(pl_module, AutoencoderModule)
        if not self.file.exists():
            return
        with self.file.open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        kept = [row for row in rows if int(row["step"]) <= pl_module.step]
        with self.file.open("w", newline="") as handle:
            if kept:
                writer = csv.DictWriter(handle, kept[0].keys())
                writer.writeheader()
                writer.writerows(kept)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's row."""
        assert isinstance(pl_module, AutoencoderModule)
        with self.file.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, pl_module.row.keys())
            if handle.tell() == 0:
                writer.writeheader()
            writer.writerow(pl_module.row)
