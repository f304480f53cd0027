"""The history of a run as one CSV file, a row an epoch."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import pytorch_lightning as pl

from activae.errors import DataError
from activae.results.run_folder import write_text
from activae.training.module import AutoencoderModule, Row


def _rows_up_to(step: int, text: str) -> str:
    """The table without the rows of later steps, and without a last one that was cut off."""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    rows = csv.DictReader(lines)
    kept = [line for line, row in zip(lines[1:], rows, strict=True) if int(row["step"]) <= step]
    if lines and "step" not in (rows.fieldnames or ()):
        raise ValueError("its first line names no column step")
    return "".join(lines[:1] + kept)


class History(pl.Callback):
    """Appends each epoch's figures to a CSV file; a resumed run drops what it will write again."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep only the rows up to the step fitting starts at, of those that are whole."""
        assert isinstance(pl_module, AutoencoderModule)
        if not self.file.exists():
            return
        try:
            kept = _rows_up_to(pl_module.step, self.file.read_text())
        except (ValueError, LookupError, TypeError, csv.Error) as error:
            raise DataError(
                f"{self.file}: is damaged ({type(error).__name__}: {error}); mend it, or move it "
                "away: the run then records the epochs that are left, and its result is the same"
            ) from error
        write_text(self.file, kept)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's row."""
        assert isinstance(pl_module, AutoencoderModule)
        row = pl_module.row
        columns = self._columns_with(row)
        with self.file.open("a") as handle:
            writer = csv.DictWriter(handle, columns, lineterminator="\n")
            if handle.tell() == 0:
                writer.writeheader()
            writer.writerow(row)

    def _columns_with(self, row: Row) -> list[str]:
        """The file's columns, among them now those of the row: a new phase may have more terms."""
        if not self.file.exists():
            return list(row)
        with self.file.open(newline="") as handle:
            table = csv.DictReader(handle)
            known = list(table.fieldnames or row)
            missing = [name for name in row if name not in known]
            earlier = list(table) if missing else []
        if missing:
            text = StringIO()
            writer = csv.DictWriter(text, [*known, *missing], lineterminator="\n")
            writer.writeheader()
            writer.writerows(earlier)
            write_text(self.file, text.getvalue())
        return [*known, *missing]
