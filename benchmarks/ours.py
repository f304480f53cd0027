"""This project's training: the real config and objects, Lightning's Trainer as a run builds it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from activae.config import names, schema
from activae.config.settling import settle
from activae.data.module import AutoencoderDataModule
from activae.results.recording import SNAPSHOTS, Recorders
from activae.training import fitting
from activae.training.assembly import build_data, build_model
from activae.training.module import AutoencoderModule
from activae.training.process import choose_threads, process_state
from benchmarks.laps import Laps
from benchmarks.lightning_laps import LightningLaps
from benchmarks.workload import WORKLOADS, Task

# A whole run is this many laps long, so that what is done once a run weighs as it does in one.
LAPS_A_RUN = 5
ENDLESS = "trainer.max_epochs=1000000"
UNRECORDED = "logger=minimal"


def bare(task: Task, laps: Laps) -> None:
    """The loop alone, in a fit that never ends: no validation, no checkpoint, nothing recorded."""
    _bare(task, laps, ())


def compiled(task: Task, laps: Laps) -> None:
    """The same with trainer.compile=true; a lap's facts tell how many graphs that compiled."""
    _bare(task, laps, ("trainer.compile=true",))


def _bare(task: Task, laps: Laps, overrides: Sequence[str]) -> None:
    cfg = config(
        Path(task.configs),
        (*WORKLOADS[task.workload].overrides, ENDLESS, UNRECORDED, *overrides),
    )
    with process_state(cfg.seed):
        data = build_data(cfg)
        model = build_model(cfg, data)
        callbacks = [_Graphs(laps), LightningLaps(laps, task.epochs, lambda: model.step)]
        fit_bare(cfg, model, data, callbacks)


def whole(task: Task, laps: Laps) -> None:
    """Whole fits with everything that a run records, as often as the default run records it."""
    workload = WORKLOADS[task.workload]
    epochs = LAPS_A_RUN * task.epochs
    default = config(Path(task.configs), workload.overrides)
    snapshots = max(1, round(SNAPSHOTS * epochs / default.trainer.max_epochs))
    length = (f"trainer.max_epochs={epochs}", f"logger.snapshots={snapshots}")
    cfg = config(Path(task.configs), (*workload.overrides, *length))
    with process_state(cfg.seed):
        data = build_data(cfg)
        while True:
            model = build_model(cfg, data)
            folder = Path(mkdtemp(dir=task.scratch))
            laps.begin()
            fitting.fit(cfg, model, data, folder, Recorders())
            laps.facts["threads"] = torch.get_num_threads()
            laps.end(model.step)


def train_bare(configs: Path, overrides: Sequence[str] = ()) -> None:
    """The default run less everything it records and scores: what the rest is an addition to."""
    cfg = config(configs, (UNRECORDED, *overrides))
    with process_state(cfg.seed):
        data = build_data(cfg)
        fit_bare(cfg, build_model(cfg, data), data, [])


def config(configs: Path, overrides: Sequence[str]) -> DictConfig:
    """The settled config that train.py would compose."""
    schema.register()
    names.register()
    with initialize_config_dir(str(configs), version_base="1.3"):
        return settle(compose("train", overrides=list(overrides)))


def fit_bare(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    callbacks: list[pl.Callback],
) -> None:
    """Fit as a run does, with none of its callbacks and no validation."""
    torch.set_num_threads(cfg.trainer.threads or choose_threads(model.net, data.batch_size))
    where = cfg.trainer.accelerator
    trainer = fitting.new_trainer(
        cfg, model, data, callbacks, [], folder=Path.cwd(), accelerator=where
    )
    trainer.limit_val_batches = 0
    trainer.fit(model, datamodule=data)


class _Graphs(pl.Callback):
    """Counts what torch.compile has compiled in this process: nothing, if it was never asked."""

    def __init__(self, laps: Laps) -> None:
        self.laps = laps

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the number of threads and of graphs."""
        dynamo = sys.modules.get("torch._dynamo.utils")
        graphs = dynamo.counters["stats"]["unique_graphs"] if dynamo else 0
        self.laps.facts.update(threads=torch.get_num_threads(), graphs=graphs)
