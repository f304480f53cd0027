"""One line that tells how far a run is; in a log file, a line now and then."""

from __future__ import annotations

import logging
import sys
from time import monotonic
from typing import Any

import pytorch_lightning as pl
from rich.progress import (
    BarColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from activae.training.module import AutoencoderModule

log = logging.getLogger(__name__)

REDRAWS_A_SECOND = 5.0
LINES_IN_A_LOG = 10


class Progress(pl.Callback):
    """A bar over the whole run with the newest losses; ten plain lines where it has no terminal."""

    def __init__(self) -> None:
        self.bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._drawn_at = 0.0
        self._figures = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar."""
        assert isinstance(pl_module, AutoencoderModule)
        if not sys.stdout.isatty():
            return
        self.bar = RichProgress(
            TextColumn("training"),
            BarColumn(bar_width=16),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("left  {task.description}"),
            auto_refresh=False,
        )
        self.bar.start()
        self._task = self.bar.add_task("", total=pl_module.total_steps, completed=pl_module.step)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar, a few times a second at the most."""
        assert isinstance(pl_module, AutoencoderModule)
        if self.bar and monotonic() - self._drawn_at > 1 / REDRAWS_A_SECOND:
            self._draw(pl_module.step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch's figures for the bar; where there is none, a line now and then."""
        assert isinstance(pl_module, AutoencoderModule)
        row, total = pl_module.row, pl_module.total_steps
        figures = f"SE train {row['SE/train']:.4g}  val {row['SE/val']:.4g}"
        self._figures = f"epoch {row['epoch'] + 1:.0f}  {figures}"
        done = pl_module.step >= total
        if self.bar is not None:
            if done:
                self._draw(pl_module.step)
            return
        epochs = -(-total // pl_module.data.steps_per_epoch)
        since = (pl_module.epoch + 1) % max(1, epochs // LINES_IN_A_LOG)
        if since < pl_module.data.check_every or done:
            log.info("step   %d of %d  %s", pl_module.step, total, self._figures)

    def _draw(self, step: int) -> None:
        assert self.bar is not None
        assert self._task is not None
        self.bar.update(self._task, completed=step, description=self._figures)
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
