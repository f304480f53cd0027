"""Training jobs one after the other, in whatever process: those that nobody else is at."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from time import monotonic, perf_counter, sleep
from traceback import format_exc
from typing import Any

import pytorch_lightning as pl

from activae.errors import UserError
from activae.sweeps.events import Ended, Report, Said, Stepped
from activae.sweeps.folder import SweepFolder, forget_failure, note_failure, outcome_of
from activae.sweeps.job import Job, Outcome
from activae.sweeps.pruning import judges
from activae.training.compiled_step import CompileFailed
from activae.training.module import AutoencoderModule, Interrupted
from activae.training.shared import Shared

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_REPORTS = 0.5

Surroundings = Callable[[Job], AbstractContextManager[None]]


def work(
    jobs: Sequence[Job],
    sweep: SweepFolder,
    shared: Shared,
    surroundings: Surroundings,
    report: Report,
) -> None:
    """See every job to its end, training those that no other process has claimed.

    Returns when all have ended, here or elsewhere; what another process leaves unfinished is taken
    over. Raises KeyboardInterrupt when asked to stop; what was computed is in the folders.
    """
    left = list(jobs)
    while left:
        busy = []
        for job in left:
            outcome = outcome_of(job)
            if outcome is None:
                with sweep.claim(job) as ours:
                    if ours:
                        outcome = outcome_of(job) or _train(job, shared, surroundings, report)
            if outcome is None:
                busy.append(job)
            else:
                report(Ended(job.id, outcome))
        left = busy
        if left:
            sleep(SECONDS_BETWEEN_LOOKS)


def _train(job: Job, shared: Shared, surroundings: Surroundings, report: Report) -> Outcome:
    """Train a claimed job to its end, whatever that is."""
    started = perf_counter()
    report(Stepped(job.id, 0, 0))
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        forget_failure(job.folder)
        with surroundings(job), judges(job.pruning) as pruning:
            shared.watchers = [Watcher(job, report), *pruning]
            outcome = _attempt(job, shared, report)
    except Exception as error:  # such as a log file that cannot be opened
        if not isinstance(error, (UserError, OSError)):
            report(Said(format_exc()))
        outcome = failed(job, error)
    return Outcome(outcome.status, outcome.se_val, outcome.reason, seconds=perf_counter() - started)


def _attempt(job: Job, shared: Shared, report: Report) -> Outcome:
    from activae.results.run import TrainingDiverged, train_settled

    cfg = job.cfg
    try:
        try:
            metrics = train_settled(cfg, job.folder, shared)
        except CompileFailed as error:
            if cfg.trainer.compile:
                raise
            report(Said(f"{job.name}: trained step by step, for {error}"))
            shared.give_up_compiling(cfg)
            metrics = train_settled(cfg, job.folder, shared)
    except Interrupted:
        raise KeyboardInterrupt from None
    except TrainingDiverged as error:
        log.error("error: %s", error)
        return Outcome("diverged", reason=str(error))
    except Exception as error:
        return failed(job, error)
    return Outcome(metrics["status"], metrics["val"]["SE"])


def failed(job: Job, error: Exception) -> Outcome:
    """Note what ended a job, in its folder and as its outcome."""
    if isinstance(error, (UserError, OSError)):
        reason = str(error)
        log.error("error: %s", reason, exc_info=error if log.isEnabledFor(logging.DEBUG) else None)
    else:
        reason = f"{type(error).__name__}: {error}"
        log.error("unexpected error", exc_info=error)
    note_failure(job.folder, reason)
    return Outcome("failed", reason=reason)


class Watcher(pl.Callback):
    """Reports how far a job is, a few times a second."""

    def __init__(self, job: Job, report: Report) -> None:
        self.job = job
        self.report = report
        self._told_at = 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Tell the step, if the last telling lies far enough back."""
        if monotonic() - self._told_at > SECONDS_BETWEEN_REPORTS:
            self._tell(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the last step."""
        self._tell(pl_module)

    def _tell(self, model: pl.LightningModule) -> None:
        assert isinstance(model, AutoencoderModule)
        self.report(Stepped(self.job.id, model.step, model.total_steps))
        self._told_at = monotonic()
