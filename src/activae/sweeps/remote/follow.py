"""Following workers, by what they return and by what they leave in the sweep's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import sleep
from typing import Protocol

from activae.sweeps.events import Ended, Report, Said
from activae.sweeps.folder import outcome_of
from activae.sweeps.job import Job, Outcome

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
