"""What surrounds a job that Hydra did not start itself: its log file, its record, its callbacks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from activae.results.run_folder import write_text
from activae.sweeps.job import Job

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
    """One whose failure says all there is to say: Hydra's adds a line of its own."""

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
        write_text(folder / f"{name}.yaml", _yaml(part))


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
