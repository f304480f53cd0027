"""One line that tells how far a run is; in a log file, a line now and then."""

from __future__ import annotations

import logging
import sys
from time import monotonic

import pytorch_lightning as pl
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from activae.models.autoencoder import AutoencoderModule

log = logging.getLogger(__name__)

REDRAWS_A_SECOND = 5.0
LINES_IN_A_LOG = 10


class Progress(pl.Callback):
    """A bar over the whole run with the newest losses; ten plain lines where there is no terminal."""

    def __init__(self) -> None:
        self.bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._drawn_at = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar."""
        assert isinstance(pl_module, AutoencoderModule)
        if not sys.stdout.isatty():
            return
        self.bar = RichProgress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            auto_refresh=False,
        )
        self.bar.start()
        self._task = self.bar.add_task("", total=pl_module.total_steps, completed=pl_module.step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch's figures, a few times a second at the most."""
        assert isinstance(pl_module, AutoencoderModule)
        row = pl_module.row
        figures = (
            f"epoch {row['epoch'] + 1:.0f}  SE train {row['SE/train']:.4g}  val {row['SE/val']:.4g}"
        )
        done = pl_module.step >= pl_module.total_steps
        if self.bar is None or self._task is None:
            epochs = -(-pl_module.total_steps // pl_module.data.steps_per_epoch)
            if (pl_module.epoch + 1) % max(1, epochs // LINES_IN_A_LOG) == 0 or done:
                log.info("step %d of %d  %s", pl_module.step, pl_module.total_steps, figures)
        elif done or monotonic() - self._drawn_at > 1 / REDRAWS_A_SECOND:
            self.bar.update(self._task, completed=pl_module.step, description=figures)
            self.bar.refresh()
            self._drawn_at = monotonic()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the bar as it stands."""
        self._stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the bar as it stands, so that the message comes below it."""
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
