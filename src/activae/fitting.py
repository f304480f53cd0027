"""Fitting: Lightning's Trainer with the callbacks that record a run, from wherever it stands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import Logger

from activae.callbacks.checkpoint import RunCheckpoint
from activae.callbacks.history import History
from activae.callbacks.progress import Progress
from activae.config import container
from activae.data.module import AutoencoderDataModule
from activae.errors import ConfigError, DataError
from activae.models.autoencoder import AutoencoderModule
from activae.process import choose_threads, stopping_on_interrupt
from activae.run_folder import CONFIG, HISTORY, LAST, load_checkpoint

log = logging.getLogger(__name__)


def fit(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    folder: Path,
    *,
    watchers: Sequence[pl.Callback] | None = None,
    threads: int | None = None,
) -> None:
    """Train to the end, leaving checkpoints, history and TensorBoard events in `folder`.

    `watchers` take the progress bar's place; `threads` are torch's, unless the config sets them.
    Raises Interrupted or Diverged after the checkpoints are written.
    """
    suitable = threads or choose_threads(model.net, data.batch_size)
    torch.set_num_threads(cfg.trainer.threads or suitable)
    last = folder / LAST
    snapshot = load_checkpoint(last) if last.exists() else None
    if snapshot is not None:
        try:
            model.restore(snapshot)
        except (LookupError, RuntimeError) as error:
            raise DataError(f"{last}: does not fit the run's {CONFIG}: {error}") from error
        log.info("resumed at step %d of %d", model.step, model.total_steps)
        if snapshot.get("finished"):
            return
    callbacks = _callbacks(cfg, folder, watchers)
    for callback in callbacks:
        state = (snapshot or {}).get("callbacks", {}).get(callback.state_key)
        if state:
            callback.load_state_dict(state)
    trainer = _trainer(cfg, model, data, folder, callbacks)
    with stopping_on_interrupt(model):
        trainer.fit(model, datamodule=data)


def _callbacks(
    cfg: DictConfig, folder: Path, watchers: Sequence[pl.Callback] | None
) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = [
        History(folder / HISTORY),
        RunCheckpoint((folder / LAST).parent, container(cfg)),
    ]
    if cfg.trainer.early_stopping_patience:
        callbacks.append(
            EarlyStopping(
                "SE/val",
                patience=cfg.trainer.early_stopping_patience,
                check_on_train_epoch_end=False,  # before the snapshot, which holds its state
            )
        )
    if cfg.logger.tensorboard:
        from activae.callbacks.tensorboard import TensorBoardLog

        callbacks.append(TensorBoardLog(cfg.logger.snapshots, cfg.logger.images))
    if watchers is not None:
        callbacks.extend(watchers)
    elif cfg.logger.progress_bar:
        callbacks.append(Progress())
    return callbacks


def _trainer(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    folder: Path,
    callbacks: list[pl.Callback],
) -> pl.Trainer:
    epochs = ceil(model.total_steps / data.steps_per_epoch)
    try:
        return pl.Trainer(
            accelerator=cfg.trainer.accelerator,
            devices=1,
            precision=cfg.trainer.precision,
            max_epochs=epochs - model.step // data.steps_per_epoch,
            logger=_logger(cfg, folder, model.step),
            callbacks=callbacks,
            detect_anomaly=cfg.trainer.detect_anomaly,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except pl.utilities.exceptions.MisconfigurationException as error:
        raise ConfigError(f"trainer: {error}") from error


def _logger(cfg: DictConfig, folder: Path, step: int) -> Logger | Literal[False]:
    """TensorBoard's, if wanted; a resumed run hides the events that it will write again."""
    if not cfg.logger.tensorboard:
        return False
    from activae.callbacks.tensorboard import EventLogger

    return EventLogger(folder, first_step=step + 1 if step else 0)
