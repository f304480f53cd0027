"""One run: seed, data, model, fit, score."""

from __future__ import annotations

import logging
from pathlib import Path
from time import perf_counter
from typing import Any

from omegaconf import DictConfig

from activae.config.settling import settle
from activae.data.module import AutoencoderDataModule
from activae.errors import UserError
from activae.results import run_folder
from activae.results.board import show_results
from activae.results.evaluation import score
from activae.training.assembly import build_model
from activae.training.divergence import locate_divergence
from activae.training.fitting import fit
from activae.training.module import AutoencoderModule, Diverged
from activae.training.process import process_state
from activae.training.shared import Shared, status_of

log = logging.getLogger(__name__)


class TrainingDiverged(UserError):
    """The loss became NaN or infinite; the message says where first and what to try."""


def train(composed: DictConfig, folder: Path) -> dict[str, Any]:
    """Train, score and record the run that a composed config describes, in `folder`.

    A folder with an unfinished run of that config is continued. Returns what metrics.json holds.
    Raises UserError for what the user can mend, Interrupted when asked to stop; what was computed
    until then is in the folder.
    """
    return train_settled(settle(composed), folder, Shared())


def train_settled(cfg: DictConfig, folder: Path, shared: Shared) -> dict[str, Any]:
    """What `train` does, of a settled config, with what the runs of a process share."""
    started = perf_counter()
    run_folder.record(cfg, folder)
    with process_state(cfg.seed):
        data = shared.data(cfg)
        model = build_model(cfg, data, shared.graph(cfg))
        try:
            fit(cfg, model, data, folder, watchers=shared.watchers, threads=shared.threads)
        except Diverged as diverged:
            raise close_diverged(cfg, model, data, folder, diverged.step) from None
        metrics = score(cfg, model, data, folder, shared.pca)
        metrics["status"] = status_of(shared.watchers or ())
        if cfg.logger.tensorboard:
            show_results(cfg, model, data, metrics, folder)
    metrics["seconds"]["all"] = perf_counter() - started
    run_folder.write_metrics(folder, metrics)
    run_folder.close(folder, metrics["status"])
    return metrics


def close_diverged(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    folder: Path,
    step: int,
) -> TrainingDiverged:
    """Record the divergence as the run's result, and return the error that tells of it."""
    snapshot = run_folder.load_checkpoint(folder / run_folder.LAST)
    where = locate_divergence(model, data, snapshot, step)
    run_folder.write_metrics(folder, {"status": "diverged", "step": step, "where": where})
    run_folder.close(folder, "diverged")
    lr = cfg.optimizer.get("lr")
    return TrainingDiverged(
        f"training diverged: the loss is not finite at step {step}; {where}. "
        f"The last finite state (step {snapshot['global_step']}) is in {folder / run_folder.LAST}. "
        f"Try a smaller learning rate{f' (optimizer.lr={lr / 10:.3g})' if lr else ''} or "
        "trainer.gradient_clip_val=1"
    )
