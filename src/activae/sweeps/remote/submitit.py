"""Sweeps on Slurm, by submitit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from activae.errors import ConfigError
from activae.sweeps.folder import SweepFolder
from activae.sweeps.job import Job, Report, Said
from activae.sweeps.launch import Engine
from activae.sweeps.local import choice, library, whole
from activae.sweeps.remote.workers import follow, shares
from activae.sweeps.work import Surroundings

FOLDER = ".submitit"
# Parameters that all of submitit's clusters have; before Slurm's own it wants slurm_.
_EVERYWHERE = ("timeout_min", "gpus_per_node", "mem_gb")


def train_with_submitit(
    launcher: str,
    cluster: str,
    jobs: int,
    cpus_per_task: int,
    compiling: bool | None,
    parameters: Mapping[str, Any],
) -> Engine:
    """An engine with `jobs` batch jobs of `cpus_per_task` processes each.

    launcher: its name in messages.
    cluster, parameters: submitit's; a parameter that is None is left to it.
    """
    submitit = library("submitit", launcher, "activae[slurm]")
    whole("jobs", jobs)
    whole("cpus_per_task", cpus_per_task)
    choice("compile", compiling)
    for key in ("timeout_min", "gpus_per_node", "array_parallelism"):
        whole(key, parameters.get(key), optional=True)
    given = {
        key if key in _EVERYWHERE else f"slurm_{key}": value
        for key, value in parameters.items()
        if value is not None
    }
    count = jobs

    def engine(
        jobs: Sequence[Job], sweep: SweepFolder, surroundings: Surroundings, report: Report
    ) -> None:
        parts = shares(jobs, sweep, surroundings, count, cpus_per_task, compiling)
        submitted: list[Any] = []
        if parts:
            # A fresh one: submitit unpickles what it finds there by a job's number.
            inside = sweep.below(FOLDER)
            inside.mkdir(parents=True, exist_ok=True)
            folder = Path(mkdtemp(prefix="", dir=inside))
            try:
                executor = submitit.AutoExecutor(folder, cluster=cluster)
                executor.update_parameters(name="activae", cpus_per_task=cpus_per_task, **given)
                submitted = executor.submit_array(parts)
            except (RuntimeError, OSError, NameError, TypeError) as error:  # no Slurm; a refusal
                raise ConfigError(f"hydra/launcher={launcher}: {error}") from error
            numbers = ", ".join(job.job_id for job in submitted)
            report(Said(f"sweep  shared by the batch jobs {numbers}; their logs: {folder}"))

        def cancel() -> None:
            for job in submitted:
                job.cancel(check=False)

        follow(jobs, submitted, cancel, report)

    return engine
