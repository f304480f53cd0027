"""One run: seed, data, model, fit, score."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from activae.config.identity import ID_LENGTH, data_content, job_id
from activae.config.run_folders import refuse_unless_run
from activae.config.settling import container, settle
from activae.data.module import AutoencoderDataModule
from activae.errors import UserError
from activae.objectives.importance import likelihood_of, log_evidence, nll_figures
from activae.results import run_folder
from activae.results.claims import claim
from activae.results.diagnosis import figures
from activae.results.evaluation import finite, score
from activae.results.machine import versions
from activae.results.probing import labelled_splits, probe
from activae.results.recording import Recorders, drawing
from activae.results.samples.own import score_own
from activae.results.sampling import fit_own
from activae.results.tensorboard import show_results
from activae.training.assembly import build_model
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.divergence import locate_divergence
from activae.training.fitting import fit
from activae.training.module import AutoencoderModule, Diverged
from activae.training.process import process_state
from activae.training.shared import Shared

log = logging.getLogger(__name__)


class TrainingDiverged(UserError):
    """The loss became NaN or infinite; the message says where first and what to try."""


def train(composed: DictConfig, folder: Path) -> dict[str, Any]:
    """Train, score and record the run that a composed config describes, in `folder`.

    A folder with an unfinished run of that config is continued. Returns what metrics.json holds.
    Raises UserError for what the user can correct, also where another process is at work there,
    Interrupted when asked to stop; what was computed until then is in the folder.
    """
    cfg = settle(composed)
    with claim(folder):
        return train_settled(cfg, folder, Shared())


def train_settled(cfg: DictConfig, folder: Path, shared: Shared) -> dict[str, Any]:
    """What `train` does, of a settled config, with what the runs of a process share."""
    started = perf_counter()
    if cfg.init_from and not (folder / LAST).exists():
        refuse_unless_run(cfg.init_from, "init_from=")  # before the data are read
    run_folder.record(cfg, folder)
    with process_state(cfg.seed):
        data = shared.data(cfg)
        model = build_model(cfg, data, shared.graph(cfg))
        watchers = shared.watchers
        recorders = Recorders(in_a_sweep=watchers is not None)
        try:
            fit(cfg, model, data, folder, recorders, watchers=watchers, threads=shared.threads)
        except Diverged as diverged:
            raise close_diverged(cfg, model, data, folder, diverged.step) from None
        run = Finished(cfg, model, data, folder, shared, watchers)
        return finish(run, lambda: perf_counter() - started)


@dataclass
class Finished:
    """A run that has trained to its end, as the stages that follow see it.

    watchers: callbacks that stood in for the progress bar, in a sweep; None for a run alone.
    metrics: what metrics.json will hold.
    """

    cfg: DictConfig
    model: AutoencoderModule
    data: AutoencoderDataModule
    folder: Path
    shared: Shared
    watchers: Sequence[pl.Callback] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)


Stage = Callable[[Finished], None]


def score_run(run: Finished) -> None:
    """Score the best checkpoint beside PCA."""
    pruned = any(getattr(watcher, "pruned", False) for watcher in run.watchers or ())
    run.metrics["status"] = "pruned" if pruned else "completed"
    run.metrics |= score(run.cfg, run.model, run.data, run.folder, run.shared)


def diagnose_run(run: Finished) -> None:
    """Add the figures that tell why the network does well or badly."""
    run.metrics["diagnostics"] = figures(run.model, run.shared)


def probe_run(run: Finished) -> None:
    """Add how well labels can be told from the code, if that is wanted."""
    if run.cfg.score.get("probe"):
        train, scored = labelled_splits(run.data, test=run.cfg.score.test)
        run.metrics["probe"] = probe(run.model.net.encode, train, scored, run.cfg.encoding.dim)


def nll_run(run: Finished) -> None:
    """Add the likelihood of the test split, or else of val, if that is wanted."""
    if run.cfg.score.get("nll"):
        stage, net = "test" if run.cfg.score.test else "val", run.model.net
        likelihood = likelihood_of(run.model.whole_objective, net)
        codes = run.cfg.score.nll_samples
        nll, error = nll_figures(
            log_evidence(net, likelihood, run.data.samples[stage], samples=codes)
        )
        run.metrics["nll"] = {stage: nll, "standard_error": finite(error), "codes": codes}


def sample_run(run: Finished) -> None:
    """Fit a sampler to the codes, if that is wanted."""
    if run.metrics["status"] == "completed":
        fit_own(run.cfg, run.model.net, run.model.normalisation, run.data, run.folder)


def evaluate_run(run: Finished) -> None:
    """Add how good new samples are, if that is wanted."""
    if run.cfg.score.get("samples") and run.metrics["status"] == "completed":
        model = run.model
        found = score_own(run.cfg, model.net, model.normalisation, run.data, run.folder, run.shared)
        if found is not None:
            run.metrics["samples"] = found


def show_run(run: Finished) -> None:
    """Show the results in TensorBoard, if that is wanted."""
    if run.cfg.logger.tensorboard:
        show_results(
            run.cfg,
            run.model,
            run.data,
            run.metrics,
            run.folder,
            in_a_sweep=run.watchers is not None,
        )


# How a run is finished, in this order. A stage of the first list adds to `metrics`; one of the
# second shows them, and a run whose picture fails is none the less complete.
STAGES: list[Stage] = [
    score_run,
    diagnose_run,
    probe_run,
    nll_run,
    sample_run,
    evaluate_run,
]
SHOWING: list[Stage] = [show_run]


def finish(run: Finished, seconds: Callable[[], float]) -> dict[str, Any]:
    """Take a run through all stages and close its folder; return what metrics.json holds.

    seconds: how long the run has taken by now, in all.
    """
    run.metrics |= origin(run.cfg)
    for stage in STAGES:
        stage(run)
    run.metrics["seconds"]["all"] = seconds()
    run_folder.write_metrics(run.folder, run.metrics)
    for stage in SHOWING:
        with drawing(run.folder):
            stage(run)
    run_folder.close(run.folder, run.metrics["status"])
    return run.metrics


def origin(cfg: DictConfig) -> dict[str, Any]:
    """What metrics.json says of where its figures come from, whatever they are."""
    content = data_content(container(cfg))
    of_data = {} if content is None else {"data_content": content[:ID_LENGTH]}
    return {"id": job_id(cfg), "seed": cfg.seed, **of_data, "versions": versions()}


def close_diverged(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    folder: Path,
    step: int,
) -> TrainingDiverged:
    """Record the divergence as the run's result, and return the error that tells of it."""
    snapshot = load_checkpoint(folder / LAST)
    where = locate_divergence(model, data, snapshot, step)
    found = {**origin(cfg), "status": "diverged", "step": step, "where": where}
    run_folder.write_metrics(folder, found)
    run_folder.close(folder, "diverged")
    lr = cfg.optimizer.get("lr")
    return TrainingDiverged(
        f"training diverged: the loss is not finite at step {step}; {where}. "
        f"The last finite state (step {snapshot['global_step']}) is in {folder / LAST}. "
        f"Try a smaller learning rate{f' (optimizer.lr={lr / 10:.3g})' if lr else ''} or "
        "trainer.gradient_clip_val=1"
    )
