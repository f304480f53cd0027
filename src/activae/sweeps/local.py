"""Sweeps on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from activae.process import cores
from activae.sweeps.events import Report
from activae.sweeps.folder import SweepFolder
from activae.sweeps.job import Job
from activae.sweeps.launch import Engine
from activae.sweeps.options import choice, whole
from activae.sweeps.pool import Pool
from activae.sweeps.work import Surroundings


def train_here(workers: int | None, compiling: bool | None) -> Engine:
    """An engine with a process for each core, or as many as `workers`."""
    whole("workers", workers, optional=True)
    choice("compile", compiling)

    def engine(
        jobs: Sequence[Job], sweep: SweepFolder, surroundings: Surroundings, report: Report
    ) -> None:
        Pool(sweep, surroundings, report, workers or cores(), compiling).run(jobs)

    return engine
