"""Fitting a run: Lightning's Trainer with the callbacks that record it, from its checkpoint on."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import (
    AdvancedProfiler,
    Profiler,
    PyTorchProfiler,
    SimpleProfiler,
)
from torch import nn

from activae.activations import RReLU
from activae.config.devices import device_count
from activae.config.identity import data_content
from activae.config.instantiating import build
from activae.config.run_folders import refuse_unless_run
from activae.config.settling import CONFIG, container
from activae.config.trainer_keys import seconds_of
from activae.data.module import AutoencoderDataModule
from activae.data.spec import DataSpec
from activae.errors import ConfigError, DataError
from activae.training.checkpoint import LAST, RunCheckpoint, load_checkpoint
from activae.training.early_stopping import EarlyStopping, MaxTime
from activae.training.files import parts_of
from activae.training.module import AutoencoderModule
from activae.training.process import choose_threads, stopping_on_interrupt
from activae.training.restoring import load_network

log = logging.getLogger(__name__)

LENGTHS = ("max_epochs", "max_steps")
PROFILE = "profile"  # fit-profile.txt, beside the run's other files


class Recorders(Protocol):
    """Makes what records a run; it travels to the processes of a run on several devices."""

    def callbacks(self, cfg: DictConfig, folder: Path) -> list[pl.Callback]:
        """New callbacks that write a run's records into its folder."""

    def progress(self, cfg: DictConfig) -> list[pl.Callback]:
        """What tells the user how far a run is, if that is wanted."""

    def loggers(self, cfg: DictConfig, folder: Path, step: int) -> list[Logger]:
        """Lightning's loggers for a run that starts at a step, as many as are wanted."""


def fit(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    folder: Path,
    recorders: Recorders,
    *,
    watchers: Sequence[pl.Callback] | None = None,
    threads: int | None = None,
) -> None:
    """Train to the end, leaving checkpoints and what `recorders` write in `folder`.

    `watchers` take the progress bar's place; `threads` are torch's, unless the config sets them.
    Raises Interrupted or Diverged after the checkpoints are written.
    """
    # Also for what follows a fit that finds nothing left to do.
    torch.set_num_threads(
        cfg.trainer.threads or threads or choose_threads(model.net, data.batch_size)
    )
    model.data = data
    snapshot = restore_checkpoint(cfg, model, folder)
    refuse_other_data(cfg, snapshot, data.spec)
    if snapshot is not None and snapshot.get("finished") and not is_longer(cfg, snapshot):
        return
    if device_count(cfg.trainer) > 1:
        from activae.training.parallel.fleet import fit_in_ranks

        note_own_draws(model.net)
        fit_in_ranks(cfg, model, folder, recorders)
        model.restore(load_checkpoint(folder / LAST))
        return
    if watchers is None:
        watchers = recorders.progress(cfg)
    callbacks = run_callbacks(cfg, folder, [*watchers, *recorders.callbacks(cfg, folder)])
    restore_callbacks(callbacks, snapshot, folder / LAST)
    loggers = recorders.loggers(cfg, folder, model.step)
    trainer = new_trainer(
        cfg,
        model,
        data,
        callbacks,
        loggers,
        folder=folder,
        accelerator=cfg.trainer.accelerator,
    )
    with stopping_on_interrupt(model), _blaming_callbacks(cfg):
        trainer.fit(model, datamodule=data)


_NO_SUCH_METRIC = "Early stopping conditioned on"  # how Lightning's message of it starts


@contextmanager
def _blaming_callbacks(cfg: DictConfig) -> Iterator[None]:
    """What Lightning says of callbacks of the user's own that cannot work in this run."""
    try:
        yield
    except (pl.utilities.exceptions.MisconfigurationException, RuntimeError) as error:
        lightnings = not isinstance(error, RuntimeError) or str(error).startswith(_NO_SUCH_METRIC)
        if not cfg.callbacks or not lightnings:
            raise
        raise ConfigError(f"callbacks: {', '.join(cfg.callbacks)}: {error}") from error


def note_own_draws(net: nn.Module) -> None:
    """Log that layers which draw in the forward pass do so apart on each device, if there are."""
    drawing = (nn.modules.dropout._DropoutNd, nn.RReLU, RReLU)
    names = {type(module).__name__ for module in net.modules() if isinstance(module, drawing)}
    if names:
        log.warning(
            "note   %s: each device draws for its share of a batch, so that the run differs from "
            "one on a single device as from one of another seed",
            ", ".join(sorted(names)),
        )


def restore_checkpoint(
    cfg: DictConfig, model: AutoencoderModule, folder: Path
) -> dict[str, Any] | None:
    """Restore the model from the folder's last checkpoint and return that, if there is one.

    Otherwise the run starts, from the weights of `init_from` if it is set. Raises DataError where
    the checkpoint is damaged or another model's, ConfigError where there are no such weights.
    """
    last = folder / LAST
    if not last.exists():
        if cfg.init_from:
            start_from(cfg, model)
        return None
    snapshot = load_checkpoint(last)
    model.restore(snapshot, last)
    log.info("resumed at step %d of %d", model.step, model.total_steps)
    return snapshot


def start_from(cfg: DictConfig, model: AutoencoderModule) -> None:
    """Give the network the best weights of the run in the folder `init_from`.

    Raises ConfigError where the two networks differ, DataError where the folder holds no whole run.
    """
    refuse_unless_run(cfg.init_from, "init_from=")
    theirs = load_network(cfg.init_from, cfg.trusted_modules).net.state_dict()
    own = model.net.state_dict()
    for name in {**own, **theirs}:
        shapes = [
            tuple(state[name].shape) if name in state else "missing" for state in (theirs, own)
        ]
        if shapes[0] != shapes[1]:
            raise ConfigError(
                f"init_from={cfg.init_from}: is of another network: its {name} is {shapes[0]}, and "
                f"here {shapes[1]}; give this run the encoder, decoder and encoding that stand in "
                f"its {Path(cfg.init_from) / CONFIG}"
            )
    model.net.load_state_dict(theirs)
    frozen = f"; the {cfg.freeze} keeps them" if cfg.freeze else ""
    log.info("start  from the weights of %s%s", cfg.init_from, frozen)


def is_longer(cfg: DictConfig, snapshot: dict[str, Any]) -> bool:
    """Whether a run is to train for longer than when it left a snapshot."""
    before = snapshot.get("hyper_parameters", {}).get("trainer", {})
    return any(cfg.trainer[key] != before.get(key) for key in LENGTHS)


def refuse_other_data(cfg: DictConfig, snapshot: dict[str, Any] | None, spec: DataSpec) -> None:
    """Raise DataError where the data file is not the one that a snapshot was trained on."""
    known = (snapshot or {}).get("data_content")  # unknown in checkpoints of earlier versions
    if known is not None and known != data_content(cfg):
        raise DataError(
            f"data.path={cfg.data.path}: has changed since this run was interrupted, whose "
            "checkpoint holds the normalisation and split of the old data. Put the old data back, "
            "or start a new run"
        )
    kept = (snapshot or {}).get("spec", {}).get("features") or ()
    for old, new in zip(kept, spec.features or (), strict=False):  # the network checks the width
        if old != new:
            raise DataError(
                f"data.path={cfg.data.path}: its column {new} stands where this run was trained on "
                f"{old}. Put the columns in their old order, or start a new run"
            )


def run_callbacks(
    cfg: DictConfig, folder: Path, recording: Sequence[pl.Callback]
) -> list[pl.Callback]:
    """The callbacks of a run: those given, the config's, then its checkpoints.

    Checkpoints come last, because they hold the others' states and note whether they end the run.
    """
    snapshots = RunCheckpoint((folder / LAST).parent, container(cfg))
    return [*recording, *configured_callbacks(cfg), snapshots]


def configured_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """The user's own, and what ends a run early, if that is wanted: those of every rank.

    Raises ConfigError for a node of `callbacks` that makes something else.
    """
    callbacks: list[pl.Callback] = []
    for name, node in container(cfg.callbacks).items():
        callback = build(node, f"callbacks.{name}")
        if not isinstance(callback, pl.Callback):
            raise ConfigError(
                f"callbacks.{name}: makes a {type(callback).__name__}, not a "
                "pytorch_lightning.Callback; give callbacks.NAME._target_=my_module.MyCallback"
            )
        for kind, instead in _INSTEAD.items():
            if isinstance(callback, kind):
                raise ConfigError(f"callbacks.{name}: {kind.__name__} does nothing here: {instead}")
        callbacks.append(callback)
    patience, seconds = cfg.trainer.early_stopping_patience, seconds_of(cfg.trainer.max_time)
    at_least = cfg.trainer.min_epochs or 0
    if patience:
        callbacks.append(EarlyStopping(patience, at_least))
    if seconds:
        callbacks.append(MaxTime(seconds, at_least))
    return callbacks


def restore_callbacks(
    callbacks: Sequence[pl.Callback], snapshot: dict[str, Any] | None, file: Path | None = None
) -> None:
    """Give the callbacks the states that a snapshot has of them.

    file: where it was read from, if it was. Raises DataError where a state does not fit.
    """
    for callback in callbacks:
        with parts_of(file):
            state = (snapshot or {}).get("callbacks", {}).get(callback.state_key)
        ours = type(callback).__module__.startswith("activae.")
        if state:
            with parts_of(file if ours else None):  # a user's own may fail by a mistake in it
                callback.load_state_dict(state)


# Callbacks that know training as Lightning's own loop takes it: one step of its optimizer a batch.
_INSTEAD: dict[type[pl.Callback], str] = {
    pl.callbacks.ModelCheckpoint: "a run keeps the checkpoint with the lowest SE/val, and its last "
    "one, in its folder's checkpoints/",
    pl.callbacks.StochasticWeightAveraging: "rates are those of the group `scheduler`, and what is "
    "scored is the checkpoint with the lowest SE/val, not an average",
    pl.callbacks.GradientAccumulationScheduler: "use data.batch_size, times as large",
    pl.callbacks.LearningRateFinder: "use -m experiment=tune_lr, or hydra/sweeper=optuna",
    pl.callbacks.BatchSizeFinder: "set data.batch_size",
}


class Metrics(pl.Callback):
    """Shows other callbacks the epoch's figures by the names that they have in history.csv.

    So `+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping` can monitor SE/val.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take them from the module's row."""
        assert isinstance(pl_module, AutoencoderModule)
        numbers = {k: v for k, v in pl_module.row.items() if isinstance(v, (int, float))}
        trainer.callback_metrics.update({k: torch.tensor(v) for k, v in numbers.items()})


class OwnSigterm(pl.Callback):
    """Keeps what SIGTERM does; Lightning's handler would end the run as if it were complete."""

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the handler back, which Lightning's fit has just replaced."""
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)


def new_trainer(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    callbacks: list[pl.Callback],
    loggers: list[Logger],
    *,
    folder: Path,
    accelerator: str,
    device: int | None = None,
) -> pl.Trainer:
    """Lightning's Trainer for the rest of the run, on one device: a given GPU, or any."""
    model.automatic_optimization = False  # many steps a call: see AutoencoderModule
    checks = ceil(model.total_steps / data.steps_per_check)
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=1 if device is None else [device],
            precision=cfg.trainer.precision,
            max_epochs=checks - model.step // data.steps_per_check,
            logger=loggers or False,
            callbacks=[Metrics(), *callbacks, OwnSigterm()],
            detect_anomaly=cfg.trainer.detect_anomaly,
            deterministic=cfg.trainer.deterministic,
            benchmark=cfg.trainer.benchmark,
            log_every_n_steps=cfg.trainer.log_every_n_steps,
            profiler=_profiler(cfg.trainer.profiler, folder),
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except pl.utilities.exceptions.MisconfigurationException as error:
        raise ConfigError(f"trainer: {error}") from error


def _profiler(name: str | None, folder: Path) -> Profiler | None:
    """Lightning's profiler by that name, which writes beside the run's other files."""
    if name is None:
        return None
    kinds = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
    return kinds[name](dirpath=folder, filename=PROFILE)
