"""The history of a run as one CSV file, a row an epoch."""

from __future__ import annotations

import csv
from pathlib import Path

import pytorch_lightning as pl

from activae.models.autoencoder import AutoencoderModule
from activae.run_folder import write_text


class History(pl.Callback):
    """Appends each epoch's figures to a CSV file; a resumed run drops what it will write again."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep only the rows up to the step fitting starts at, of those that are whole."""
        assert isinstance(pl_module, AutoencoderModule)
        if not self.file.exists():
            return
        text = self.file.read_text()
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        rows = csv.DictReader(lines)
        kept = [
            line
            for line, row in zip(lines[1:], rows, strict=True)
            if int(row["step"]) <= pl_module.step
        ]
        write_text(self.file, "".join(lines[:1] + kept))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's row."""
        assert isinstance(pl_module, AutoencoderModule)
        with self.file.open("a") as handle:
            writer = csv.DictWriter(handle, pl_module.row.keys(), lineterminator="\n")
            if handle.tell() == 0:
                writer.writeheader()
            writer.writerow(pl_module.row)
