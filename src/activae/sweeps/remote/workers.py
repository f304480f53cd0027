"""Workers elsewhere: what each gets and does with it, and following them to their end."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any, Protocol

from omegaconf import OmegaConf

from activae.config import names, schema
from activae.sweeps.folder import SweepFolder, outcome_of
from activae.sweeps.job import Ended, Event, Job, Outcome, Report, Said
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
        """What submitit queues when Slurm takes the node away: it resumes the jobs."""
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
        names.register()


@contextmanager
def _surroundings(job: Job, home: Path, around: bytes) -> Iterator[None]:
    _settle_in(home)
    with pickle.loads(around)(job):
        yield


SECONDS_BETWEEN_LOOKS = 0.5


class Worker(Protocol):
    """A share under way, as submitit and ray have it."""

    def done(self) -> bool:
        """Whether it has ended."""

    def result(self) -> dict[str, Outcome]:
        """What it returned. Raises what it ended with."""


def follow(
    jobs: Sequence[Job], workers: Sequence[Worker], cancel: Callable[[], None], report: Report
) -> None:
    """Report what workers do until they have ended; `cancel` them on KeyboardInterrupt."""
    left = {job.id: job for job in jobs}
    _tell(left, report, fresh=False)
    try:
        while not all(worker.done() for worker in workers):
            sleep(SECONDS_BETWEEN_LOOKS)
            _tell(left, report, fresh=True)
    except KeyboardInterrupt:
        cancel()
        raise
    returned, death = _results(workers, report)
    for job in left.values():
        lost = Outcome("failed", reason=f"no worker was left to train it: {death}")
        report(Ended(job.id, returned.get(job.id) or outcome_of(job) or lost))


def _tell(left: dict[str, Job], report: Report, *, fresh: bool) -> None:
    """Report the jobs whose folders say that they have ended, and take them from those left."""
    for job in list(left.values()):
        outcome = outcome_of(job)
        if outcome is not None:
            del left[job.id]
            report(Ended(job.id, replace(outcome, fresh=fresh)))


def _results(workers: Sequence[Worker], report: Report) -> tuple[dict[str, Outcome], str]:
    """What the workers returned, those that trained a job having the say; and why one died."""
    found: dict[str, Outcome] = {}
    death = "all had ended"
    for worker in workers:
        try:
            outcomes = worker.result()
        except Exception as error:  # whatever its library makes of it
            death = (str(error).strip() or type(error).__name__).splitlines()[0]
            report(Said(f"a worker ended early: {error}"))
            continue
        found |= {id_: each for id_, each in outcomes.items() if each.fresh or id_ not in found}
    return found, death
