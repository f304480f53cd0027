"""Sweeps on the processes of joblib."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any

import joblib
from joblib.externals.loky import ProcessPoolExecutor

from activae.errors import ConfigError
from activae.sweeps.events import Report
from activae.sweeps.folder import SweepFolder
from activae.sweeps.job import Job
from activae.sweeps.launch import Engine
from activae.sweeps.options import choice
from activae.sweeps.remote.follow import follow
from activae.sweeps.remote.share import shares
from activae.sweeps.work import Surroundings

SECONDS_TO_STOP = 10


def train_with_joblib(n_jobs: int, compiling: bool | None) -> Engine:
    """An engine with joblib's loky processes, as many as `n_jobs` means to joblib.

    Its other backends will not do: threads share what a run sets in its process, and a pool of
    multiprocessing waits forever for a process that was killed.
    """
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
        raise ConfigError(
            f"hydra.launcher.n_jobs={n_jobs}: must be a whole number of processes; "
            "-1: one for each core, -2: one fewer"
        )
    choice("compile", compiling)

    def engine(
        jobs: Sequence[Job], sweep: SweepFolder, surroundings: Surroundings, report: Report
    ) -> None:
        count = joblib.effective_n_jobs(n_jobs)
        parts = shares(jobs, sweep, surroundings, count, compiling=compiling)
        processes = ProcessPoolExecutor(max_workers=max(1, len(parts)))
        try:
            working = [processes.submit(part) for part in parts]
            follow(jobs, working, partial(_stop, processes, working), report)
        finally:
            processes.shutdown(wait=True)

    return engine


def _stop(processes: ProcessPoolExecutor, working: Sequence[Future[Any]]) -> None:
    """Let the workers save where they are, which loky would not."""
    for process in list(processes._processes.values()):
        os.kill(process.pid, signal.SIGINT)
    wait(working, timeout=SECONDS_TO_STOP)
    processes.shutdown(wait=True, kill_workers=True)
