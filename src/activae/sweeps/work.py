"""Training jobs one after the other, in whatever process: those that nobody else is at.

Each has around it what Hydra gives a job that it starts: a log file, a record, callbacks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import monotonic, perf_counter, sleep
from traceback import format_exc
from typing import Any

import pytorch_lightning as pl
import yaml
from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from activae.errors import UserError
from activae.results.run_folder import refuse_links, write_text
from activae.sweeps.batches import judges
from activae.sweeps.folder import SweepFolder, forget_failure, note_failure, outcome_of
from activae.sweeps.job import Ended, Job, Outcome, Report, Said, Stepped
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
        refuse_links(job.folder)
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
            report(Said(f"{job.name}: trained step by step, because {error}"))
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


_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the one in C is ten times as quick


@contextmanager
def surroundings(job: Job, callbacks: Callbacks | None) -> Iterator[None]:
    """Everything a job finds and leaves under `python train.py`, but for the terminal.

    Every handler and setting of logging, and Hydra's config, are as before afterwards.
    """
    config = OmegaConf.create(job.composed)
    assert isinstance(config, DictConfig)
    hydra = HydraConfig.instance()
    before = hydra.cfg
    _save_record(job)
    hydra.cfg = config  # type: ignore[assignment]
    try:
        with logged(job):
            if callbacks is not None:
                callbacks.on_job_start(config=config, task_function=_no_function)
            yield
            if callbacks is not None:
                callbacks.on_job_end(config=config, job_return=job_return(job, None))
    finally:
        hydra.cfg = before


def job_return(job: Job, result: float | Exception | None) -> JobReturn:
    """What Hydra's sweepers want to know of a job."""
    values = dict(job.composed)
    hydra = values.pop("hydra")
    failed = isinstance(result, Exception)
    found = _Return(
        overrides=list(job.overrides),
        cfg=OmegaConf.create(values),
        hydra_cfg=OmegaConf.create({"hydra": hydra}),
        working_dir=str(job.folder),
        task_name=hydra["job"]["name"],
        status=JobStatus.FAILED if failed else JobStatus.COMPLETED,
    )
    found.return_value = result
    return found


class _Return(JobReturn):
    """One whose failure is raised as it is: Hydra's adds a line of its own."""

    @property
    def return_value(self) -> Any:
        if isinstance(self._return_value, Exception):
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


def _no_function(cfg: DictConfig) -> None:
    """Hydra's callbacks are given the function a job calls: here it is the sweep that trains."""


def _save_record(job: Job) -> None:
    """Hydra's `.hydra/` folder."""
    values = dict(job.composed)
    hydra = values.pop("hydra")
    if hydra["output_subdir"] is None:
        return
    folder = job.folder / ".hydra"
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"config": values, "hydra": {"hydra": hydra}, "overrides": list(job.overrides)}
    for name, part in parts.items():
        write_text(folder / f"{name}.yaml", _yaml(part), durable=False)


def _yaml(values: Any) -> str:
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


@contextmanager
def logged(job: Job) -> Iterator[None]:
    """Log to the job's file, and nothing to the terminal, which shows the sweep."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hydra = job.composed["hydra"]
    name, verbose = hydra["job"]["name"], bool(hydra["verbose"])
    file = logging.FileHandler(job.folder / f"{name}.log")
    file.setFormatter(logging.Formatter(_FORMAT))
    root.handlers[:] = [file]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = handlers
        root.setLevel(level)
        file.close()
