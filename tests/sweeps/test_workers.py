"""What the launcher makes of workers elsewhere: those that end, die, or are to be stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activae.sweeps.job import Ended, Event, Job, Outcome
from activae.sweeps.remote import workers as module
from activae.sweeps.remote.workers import follow


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return [Job(str(n), n, (), tmp_path / str(n), {}, {}) for n in range(2)]


class Worker:
    """One that has ended, with the outcomes or by the error."""

    def __init__(self, end: dict[str, Outcome] | Exception) -> None:
        self.end = end

    def done(self) -> bool:
        return True

    def result(self) -> dict[str, Outcome]:
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


def ends(jobs: list[Job], *workers: Any) -> dict[str, Outcome]:
    """How the jobs ended, each of which is told once."""
    events: list[Event] = []
    follow(jobs, workers, lambda: None, events.append)
    told = [event for event in events if isinstance(event, Ended)]
    assert sorted(event.job for event in told) == sorted(job.id for job in jobs)
    return {event.job: event.outcome for event in told}


def test_the_worker_that_trained_a_job_has_the_say(jobs: list[Job]) -> None:
    found = Outcome("completed", 1.0, fresh=False)
    trained = Outcome("completed", 1.0, seconds=3.0)

    ended = ends(jobs, Worker({"0": found, "1": trained}), Worker({"0": trained, "1": found}))

    assert ended == {"0": trained, "1": trained}


def test_a_job_that_no_worker_came_to_has_failed_with_what_they_died_of(jobs: list[Job]) -> None:
    done = Outcome("completed", 1.0)

    assert ends(jobs, Worker({"0": done, "1": done}), Worker(RuntimeError("lost")))["1"] == done

    lost = ends(jobs, Worker(RuntimeError("node failure\nand its log")))
    assert {each.status for each in lost.values()} == {"failed"}
    assert lost["0"].reason == "no worker was left to train it: node failure"


def test_workers_are_cancelled_when_the_launcher_is_interrupted(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    class Busy(Worker):
        def done(self) -> bool:
            return False

    monkeypatch.setattr(module, "sleep", interrupted)
    cancelled = []

    with pytest.raises(KeyboardInterrupt):
        follow(jobs, [Busy({})], lambda: cancelled.append(True), lambda event: None)

    assert cancelled == [True]


@pytest.mark.parametrize("code", ["ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_named(
    code: str, train_py: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    def no_locks(*args: Any) -> None:
        number = getattr(errno, code)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", no_locks)

    outcome = train_py("-m", "sweep=s", "seed=0,1")

    outcome.assert_one_error("error: outputs/sweeps/s", "locks", "hydra.sweep.dir=FOLDER")
