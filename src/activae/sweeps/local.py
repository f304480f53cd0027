"""Sweeps on this machine, and the options that launchers have in common."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from activae.config.wording import is_count
from activae.errors import ConfigError
from activae.sweeps.folder import SweepFolder
from activae.sweeps.job import Job, Report
from activae.sweeps.launch import Engine
from activae.sweeps.lockstep import Lockstep
from activae.sweeps.pool import Pool
from activae.sweeps.stack.training import choose_device
from activae.sweeps.work import Surroundings
from activae.training.process import cores


def train_here(workers: int | None, compiling: bool | None, stacking: bool | None) -> Engine:
    """An engine for this machine.

    Runs for a GPU, or all with `stacking`, step together in stacks; those for the CPU are spread
    over a process for each core, or as many as `workers`.
    """
    whole("workers", workers, optional=True)
    choice("compile", compiling)
    choice("stack", stacking)

    def engine(
        jobs: Sequence[Job], sweep: SweepFolder, surroundings: Surroundings, report: Report
    ) -> None:
        pool = Pool(sweep, surroundings, report, workers or cores(), compiling)
        train_jobs(jobs, pool, stacking)

    return engine


def train_jobs(jobs: Sequence[Job], pool: Pool, stacking: bool | None = None) -> None:
    """See all jobs to their end, each in a stack or in the pool."""
    stacked: list[Job] = []
    others: list[Job] = []
    for job in jobs:
        (stacked if _steps_in_a_stack(job, stacking) else others).append(job)
    if stacked:
        Lockstep(pool.sweep, pool.surroundings, pool.report).run(stacked)
    if others:
        pool.run(others)


def _steps_in_a_stack(job: Job, stacking: bool | None) -> bool:
    """By default where there are many cores for a few wide steps: measured, a CPU has too few."""
    if stacking is not None:
        return stacking
    return choose_device(job.settled["trainer"]["accelerator"]).type == "cuda"


def whole(key: str, value: Any, *, optional: bool = False) -> None:
    """Raise ConfigError unless hydra.launcher.KEY is 1, 2, ..., or null if that is an option."""
    if value is None and optional:
        return
    if not is_count(value):
        raise ConfigError(
            f"hydra.launcher.{key}={_shown(value)}: must be a whole number of 1 or more"
            + (", or null" if optional else "")
        )


def choice(key: str, value: Any) -> None:
    """Raise ConfigError unless hydra.launcher.KEY is true, false or null."""
    if value not in (None, True, False):
        raise ConfigError(f"hydra.launcher.{key}={value}: must be true, false or null")


def library(name: str, launcher: str, install: str) -> Any:
    """The module of that name. Raises ConfigError with what to install where there is none."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"hydra/launcher={launcher} needs {name}: pip install '{install}'"
        ) from error


def _shown(value: Any) -> Any:
    return "null" if value is None else value
