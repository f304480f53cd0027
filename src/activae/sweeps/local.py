"""Sweeps on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from activae.sweeps.events import Report
from activae.sweeps.folder import SweepFolder
from activae.sweeps.job import Job
from activae.sweeps.launch import Engine
from activae.sweeps.lockstep import Lockstep
from activae.sweeps.options import choice, whole
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
