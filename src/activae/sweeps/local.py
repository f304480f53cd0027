"""Sweeps on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from activae.errors import ConfigError
from activae.process import cores
from activae.sweeps.events import Report
from activae.sweeps.folder import SweepFolder
from activae.sweeps.job import Job
from activae.sweeps.launch import Engine
from activae.sweeps.lockstep import Lockstep
from activae.sweeps.pool import Pool
from activae.sweeps.stack.training import choose_device
from activae.sweeps.work import Surroundings


def train_here(workers: int | None, compiling: bool | None, stacking: bool | None) -> Engine:
    """An engine for this machine.

    Runs for a GPU, or all with `stacking`, step together in stacks; those for the CPU are spread
    over a process for each core, or as many as `workers`.
    """
    if workers is not None and not (isinstance(workers, int) and workers >= 1):
        raise ConfigError(f"hydra.launcher.workers={workers}: must be a whole number of 1 or more")

    if compiling not in (None, True, False):
        raise ConfigError(f"hydra.launcher.compile={compiling}: must be true, false or null")

    if stacking not in (None, True, False):
        raise ConfigError(f"hydra.launcher.stack={stacking}: must be true, false or null")

    def engine(
        jobs: Sequence[Job], sweep: SweepFolder, surroundings: Surroundings, report: Report
    ) -> None:
        stacked: list[Job] = []
        others: list[Job] = []
        for job in jobs:
            (stacked if _steps_in_a_stack(job, stacking) else others).append(job)
        if stacked:
            Lockstep(sweep, surroundings, report).run(stacked)
        if others:
            Pool(sweep, surroundings, report, workers or cores(), compiling).run(others)

    return engine


def _steps_in_a_stack(job: Job, stacking: bool | None) -> bool:
    """By default where there are many cores for a few wide steps: measured, a CPU has too few."""
    if stacking is not None:
        return stacking
    return choose_device(job.settled["trainer"]["accelerator"]).type == "cuda"
