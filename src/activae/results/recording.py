"""What records a run while it trains: its history, TensorBoard events, the progress bar."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from activae.results.history import History
from activae.results.progress import Progress
from activae.results.run_folder import HISTORY

log = logging.getLogger(__name__)

# Pictures and histograms of a run where `logger.snapshots` is null: of a run among many, few look.
SNAPSHOTS, SNAPSHOTS_IN_A_SWEEP = 10, 2


@contextmanager
def drawing(folder: object) -> Iterator[None]:
    """Around what only draws: where that fails, the log says so and the run goes on."""
    try:
        yield
    except Exception:
        log.warning(
            "%s: a picture could not be drawn for TensorBoard; training and scores are not "
            "affected. The cause:",
            folder,
            exc_info=True,
        )


@dataclass(frozen=True)
class Recorders:
    """Makes the callbacks and the logger that record runs; see `activae.training.fitting.fit`."""

    in_a_sweep: bool = False

    def callbacks(self, cfg: DictConfig, folder: Path) -> list[pl.Callback]:
        """New callbacks that write a run's records into its folder."""
        callbacks: list[pl.Callback] = [History(folder / HISTORY)]
        if cfg.logger.tensorboard:
            from activae.results.tensorboard import TensorBoardLog

            usual = SNAPSHOTS_IN_A_SWEEP if self.in_a_sweep else SNAPSHOTS
            wanted = cfg.logger.snapshots
            callbacks.append(TensorBoardLog(usual if wanted is None else wanted, cfg.logger.images))
        return callbacks

    def progress(self, cfg: DictConfig) -> list[pl.Callback]:
        """What tells the user how far a run is, if that is wanted."""
        return [Progress()] if cfg.logger.progress_bar else []

    def logger(self, cfg: DictConfig, folder: Path, step: int) -> Logger | None:
        """TensorBoard's, if wanted; a resumed run hides the events that it will write again."""
        if not cfg.logger.tensorboard:
            return None
        from activae.results.tensorboard import EventLogger

        return EventLogger(folder, first_step=step + 1 if step else 0)
