"""What a sweep says fits 80 columns of a terminal, and 100 of a log file."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest

from activae.sweeps import display as module
from activae.sweeps.display import Display, clipped, show_early, wrapped
from activae.sweeps.job import Ended, Job, Outcome, Said, Stepped, Trials

LONG = "activation=leaky_relu,encoder.hidden=[512,256,128],optimizer.lr=0.0001,seed=4"


@pytest.fixture
def jobs() -> list[Job]:
    return [
        Job(str(n), n, (), Path(f"{LONG}{n}"), {}, {}, f"condition {n % 3}") for n in range(1000)
    ]


def show_all(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1_000_000, 3000))
    monkeypatch.setattr(module, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(module, "SECONDS_OF_SPEED", 1e9)
    with Display(jobs, by_condition=True) as display:
        display(Said("stack  " + "a reason why runs cannot be stacked, " * 6))
        for job in jobs[:16]:
            display(Stepped(job.id, 10_000_000, 400_000_000))
            display(Stepped(job.id, 300_000_000, 400_000_000))
        for job, outcome in zip(
            jobs,
            (
                Outcome("completed", 1234.5678, seconds=12345.6),
                Outcome("diverged", reason="training diverged " * 10, seconds=2.0),
                Outcome("failed", reason=f"{LONG}: " * 4),
            ),
            strict=False,
        ):
            display(Ended(job.id, outcome))


def test_lines_of_a_log_have_100_characters_at_most(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    show_all(jobs, monkeypatch)

    lines = "\n".join(record.getMessage() for record in caplog.records).splitlines()
    assert max(map(len, lines)) <= 100, lines
    [completed] = [line for line in lines if line.startswith("completed")]
    assert completed.startswith("completed  1/1000  activation=leaky_relu,encoder")
    assert completed.endswith("seed=40  SE/val 1235  (12345.6 s)")
    assert any("steps/s" in line for line in lines)
    assert [" ".join(line.split()) for line in lines[-4:]] == [
        "mean SE/val seeds condition",
        "1235 1/334 condition 0",
        "- 0/333 condition 1, 1 diverged",
        "- 0/333 condition 2, 1 failed",
    ]


def test_a_terminal_of_80_columns_is_enough(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")

    show_all(jobs, monkeypatch)

    lines = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", capsys.readouterr().out).splitlines()
    lines = [part for line in lines for part in line.split("\r")]
    assert max(map(len, lines)) <= 80, lines
    assert any(line.startswith("completed") for line in lines)
    assert " left" in lines[-1]
    assert "1 done, 13 running, 1 diverged, 1 failed of 1000" in lines[-1]
    assert [line.split()[1:] for line in lines[-4:-1]] == [
        ["1/334", "condition", "0"],
        ["0/333", "condition", "1,", "1", "diverged"],
        ["0/333", "condition", "2,", "1", "failed"],
    ]


def test_what_is_cut_shows_both_ends() -> None:
    assert clipped("activation=relu,seed=17", 23) == "activation=relu,seed=17"
    assert clipped("activation=relu,seed=17", 20) == "activation=r...ed=17"
    assert wrapped("word " * 30, 100).splitlines()[1].startswith("       word")


class TestABatchWithAHeading:
    HEADING = "race   seed 3\n       gelu leads"

    def show(self, jobs: list[Job]) -> None:
        with Display(jobs[:4], self.HEADING) as display:
            display(Said("pool   2 processes", routine=True))
            display(Said("a worker ended early"))
            for job, status in zip(jobs, ("completed", "diverged", "failed"), strict=False):
                reason = "" if status == "completed" else "no room"
                se_val = 1.0 if status == "completed" else None
                display(Ended(job.id, Outcome(status, se_val, reason)))

    def test_has_a_line_for_what_failed_alone(
        self, jobs: list[Job], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        self.show(jobs)
        early, failed = caplog.messages
        assert early == "a worker ended early"
        assert failed.startswith("failed")

    def test_shows_it_above_the_bar_until_the_batch_has_ended(
        self, jobs: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("FORCE_COLOR", "1")
        show_early(self.HEADING)
        self.show(jobs)
        early, wiped, out = capsys.readouterr().out.partition("\x1b[2F\x1b[J")
        assert early.splitlines() == self.HEADING.splitlines()
        assert wiped
        assert out.index("gelu leads") < out.index("sweep ")
        assert out.rstrip().endswith("\x1b[2K")  # the last thing done is to wipe a line


class TestABatchOfASearch:
    """Counts the trials of the whole search, and has the best so far above the bar."""

    def show(self, jobs: list[Job], runs: int = 1) -> str:
        before = {"completed": 9, "pruned": 2, "diverged": 1}
        with Display(jobs[:6], "best   trial 7", trials=Trials(before, 50, runs)) as display:
            display(Said("pool   2 processes", routine=True))  # the first batch has said so
            for job in jobs[:3]:
                display(Ended(job.id, Outcome("completed", 1.0)))
            return display.summary()

    def test_each_run_has_a_line(self, jobs: list[Job], caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        assert self.show(jobs) == "12 done, 0 running, 2 pruned, 1 diverged of 50 trials"
        assert [line.split()[1] for line in caplog.messages] == ["13/50", "14/50", "15/50"]

    def test_with_several_seeds_a_trial_has_ended_when_all_its_runs_have(
        self, jobs: list[Job]
    ) -> None:
        assert self.show(jobs, runs=3) == "9 done, 0 running, 2 pruned, 1 diverged of 50 trials"

    def test_the_best_stands_above_the_bar(
        self, jobs: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("FORCE_COLOR", "1")
        self.show(jobs)
        out = capsys.readouterr().out
        assert out.index("trial 7") < out.index("search ") < out.rindex("of 50 trials")
        assert "completed   13/50" in out

    def test_the_first_says_how_they_are_trained(
        self, jobs: list[Job], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        with Display(jobs[:6], "best   none yet", trials=Trials({}, 50)) as display:
            display(Said("pool   2 processes", routine=True))
        assert "pool   2 processes" in caplog.messages
