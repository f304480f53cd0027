"""Sweeps on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from activae.errors import ConfigError
from activae.process import cores
from activae.sweeps.events import Report
from activae.sweeps.folder import SweepFolder
from activae.sweeps.job import Job
from activae.sweeps.launch import Engine
from activae.sweeps.pool import Pool
from activae.sweeps.work import Surroundings


def train_here(workers: int | None, compiling: bool | None) -> Engine:
    """An engine with a process for each core, or as many as `workers`."""
    if workers is not None and not (isinstance(workers, int) and workers >= 1):
        raise ConfigError(f"hydra.launcher.workers={workers}: must be a whole number of 1 or more")

    if compiling not in (None, True, False):
        raise ConfigError(f"hydra.launcher.compile={compiling}: must be true, false or null")

    def engine(
        jobs: Sequence[Job], sweep: SweepFolder, surroundings: Surroundings, report: Report
    ) -> None:
        Pool(sweep, surroundings, report, workers or cores(), compiling).run(jobs)

    return engine
