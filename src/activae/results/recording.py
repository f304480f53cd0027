"""What records a run while it trains: its history, TensorBoard events, the progress bar."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from activae.results.history import History
from activae.results.hparams import hyper_parameters
from activae.results.progress import Progress
from activae.results.run_folder import HISTORY
from activae.training.loggers import configured_loggers
from activae.training.module import AutoencoderModule

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
            snapshots = usual if wanted is None else wanted
            alone = not self.in_a_sweep
            callbacks.append(TensorBoardLog(snapshots, cfg.logger.images, alone=alone))
        if cfg.logger.others:
            callbacks.append(Figures(hyper_parameters(cfg)))
        return callbacks

    def progress(self, cfg: DictConfig) -> list[pl.Callback]:
        """What tells the user how far a run is, if that is wanted."""
        return [Progress()] if cfg.logger.progress_bar else []

    def loggers(self, cfg: DictConfig, folder: Path, step: int) -> list[Logger]:
        """TensorBoard's, if wanted, then those of `logger.others`.

        A resumed run hides the events that it will write again.
        """
        others = configured_loggers(cfg, folder, step) if cfg.logger.others else []
        if not cfg.logger.tensorboard:
            return others
        from activae.results.tensorboard import EventLogger

        first_step = step + 1 if step else 0
        events = EventLogger(folder, first_step, training_apart=not self.in_a_sweep)
        return [events, *others]


class Figures(pl.Callback):
    """Tells loggers beside TensorBoard's what the run is, and each epoch's figures."""

    def __init__(self, words: dict[str, Any]) -> None:
        self.words = words

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log what tells this run from others."""
        for logger in _others(trainer):
            logger.log_hyperparams(self.words)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch's figures."""
        assert isinstance(pl_module, AutoencoderModule)
        figures = {k: v for k, v in pl_module.row.items() if k not in ("step", "phase")}
        for logger in _others(trainer):
            logger.log_metrics(figures, step=pl_module.step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close what a service keeps open: the next run of this process is another one there."""
        for logger in _others(trainer):
            logger.save()
            finish = getattr(getattr(logger, "experiment", None), "finish", None)
            if callable(finish):
                finish()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """The same, of a run that ends before its time."""
        self.on_fit_end(trainer, pl_module)


def _others(trainer: pl.Trainer) -> list[Logger]:
    return [each for each in trainer.loggers if not isinstance(each, TensorBoardLogger)]
