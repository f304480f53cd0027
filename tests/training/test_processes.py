"""Processes that are supervised: told to stop, found dead, and gone when their launcher is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from activae.training.processes import Crew, Line, interrupt, meaning_of_exit


def stopped_by_interrupt(word: str, line: Line) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    line.listen(interrupt)
    line.tell(word)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        line.tell("stopped")


def killed(line: Line) -> None:
    line.tell("alive")
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_is_told_is_heard_and_one_alone_is_asked_to_stop() -> None:
    with Crew("fork") as crew:
        first, second = crew.start(stopped_by_interrupt, "a"), crew.start(stopped_by_interrupt, "b")
        heard = {}
        while len(heard) < 2:
            heard |= {child.number: told for child, told in crew.hear()}
        first.ask_to_stop()
        told = [each for _ in range(2) for each in crew.hear()]

        assert heard == {0: "a", 1: "b"}
        assert told == [(first, "stopped"), (first, None)]
        assert (first.exit_code, crew.working) == (0, [second])
        first.ask_to_stop()  # nothing to ask any more

    assert second.exit_code == -signal.SIGKILL  # what is left when the context ends


def test_a_death_is_noticed_and_told_in_words() -> None:
    with Crew("fork") as crew:
        child = crew.start(killed)
        assert list(crew.hear()) == [(child, "alive")]
        assert list(crew.hear()) == [(child, None)]

    assert meaning_of_exit(child.exit_code).startswith("SIGKILL")
    assert meaning_of_exit(-signal.SIGTERM) == "SIGTERM"
    assert meaning_of_exit(3) == "exit code 3"


LAUNCHER = """
import os, sys, time
from activae.training.processes import Crew
def idle(line):
    line.listen(lambda: None)
    line.tell(os.getpid())
    time.sleep(60)
if __name__ == "__main__":
    with Crew(sys.argv[1]) as crew:
        crew.start(idle), crew.start(idle)
        told = []
        while len(told) < 2:
            told += [what for _, what in crew.hear()]
        print(*told, flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_they_end_when_the_launcher_is_killed(method: str, tmp_path: Path) -> None:
    script = tmp_path / "launcher.py"
    script.write_text(LAUNCHER)
    command = [sys.executable, str(script), method]
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    children = [int(pid) for pid in launcher.stdout.readline().split()]
    assert len(children) == 2
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()

    deadline = time.monotonic() + 10
    while any(_runs(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether the process exists and is more than an entry that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
