"""What a worker gets, and does with it."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from activae.config import names as hydra_names
from activae.config import schema
from activae.sweeps.events import Ended, Event, Said
from activae.sweeps.folder import SweepFolder, outcome_of
from activae.sweeps.job import Job, Outcome
from activae.sweeps.local import train_jobs
from activae.sweeps.pool import FORK, Pool
from activae.sweeps.work import Surroundings


@dataclass(frozen=True)
class Share:
    """A worker's part in a sweep; call it there, and it returns how each job ended.

    home: the folder of the launch, in which relative paths and a user's modules lie.
    around: the pickled Surroundings, which may hold objects of such modules.
    place, of: which of how many workers it is; they start far apart, with other graphs to compile.
    workers: how many processes it may use.
    """

    jobs: tuple[Job, ...]
    sweep: Path
    home: Path
    around: bytes
    place: int
    of: int
    workers: int
    compiling: bool | None
    start_method: str

    def __call__(self) -> dict[str, Outcome]:
        """See all jobs to their end, here or at other workers.

        Raises ConfigError where the sweep's folder cannot be shared from here.
        """
        _settle_in(self.home)
        outcomes: dict[str, Outcome] = {}

        def report(event: Event) -> None:
            if isinstance(event, Ended):
                outcomes.setdefault(event.job, event.outcome)
            elif isinstance(event, Said):
                print(event.text, flush=True)  # into the worker's log

        sweep = SweepFolder(self.sweep)
        with sweep.claim(self.jobs[0]):
            pass  # a file system without locks says so here, once
        pool = Pool(
            sweep,
            partial(_surroundings, home=self.home, around=self.around),
            report,
            self.workers,
            self.compiling,
            self.start_method,
            self.place,
            self.of,
            supervised=True,
        )
        train_jobs(self.jobs, pool)
        return outcomes

    def checkpoint(self) -> Any:
        """What submitit queues again when Slurm takes the node away: the same, which goes on."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def shares(
    jobs: Sequence[Job],
    sweep: SweepFolder,
    surroundings: Surroundings,
    count: int,
    workers: int = 1,
    compiling: bool | None = None,
    start_method: str = FORK,
) -> list[Share]:
    """The shares of `count` workers with `workers` processes each; no more than there are jobs."""
    todo = sum(outcome_of(job) is None for job in jobs)
    of = min(count, todo)
    how = (workers, compiling, start_method)
    folders = (sweep.path, Path.cwd(), pickle.dumps(surroundings))
    return [Share(tuple(jobs), *folders, place, of, *how) for place in range(of)]


def _settle_in(home: Path) -> None:
    """What train.py finds and does in the process that it is started in."""
    os.chdir(home)
    if str(home) not in sys.path:
        sys.path.append(str(home))
    if not OmegaConf.has_resolver("run_name"):
        schema.register()
        hydra_names.register()


@contextmanager
def _surroundings(job: Job, home: Path, around: bytes) -> Iterator[None]:
    _settle_in(home)
    with pickle.loads(around)(job):
        yield
