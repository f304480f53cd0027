"""Run by test_killed.py: launches a sweep again and again, killing it at random moments.

Imports everything once and forks, so that a launch costs no imports. Goes on to another sweep when
one ends before all kills are used up. Prints how many launches were killed.
"""

from __future__ import annotations

import os
import random
import runpy
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import activae.results.run
import activae.sweeps.launch
import activae.sweeps.local
from activae.training import checkpoint

torch.set_num_threads(1)
assert activae.sweeps.launch
assert activae.sweeps.local
assert activae.results.run


def launched(train_py: str, arguments: list[str], often: bool) -> int:
    """The process id of a sweep's launch."""
    pid = os.fork()
    if pid:
        return pid
    if often:
        checkpoint.SECONDS_BETWEEN_WRITES = 0.05
    sys.argv = [train_py, *arguments]
    code = 1
    try:
        runpy.run_path(train_py, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def workers_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


def ended_by_itself(pid: int, seconds: float, unless: Callable[[], Any] = lambda: False) -> bool:
    """Whether the launch ends within some seconds, or has ended before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not unless():
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if found:
            assert os.waitstatus_to_exitcode(status) == 0, status
            return True
        time.sleep(0.01)
    return False


def main() -> None:
    train_py, kills, seed, *arguments = sys.argv[1:]
    chance = random.Random(int(seed))
    killed = sweep = 0
    while True:
        pid = launched(train_py, [*arguments, f"sweep={sweep}"], often=chance.random() < 0.7)
        patience = 300.0
        if killed < int(kills):
            patience = chance.uniform(0.02, 1.2)
            if chance.random() < 0.8:  # in training; otherwise at any moment since the launch
                ended_by_itself(pid, 30.0, unless=lambda p=pid: workers_of(p))
        if ended_by_itself(pid, patience):
            if killed == int(kills):
                break
            sweep += 1
            continue
        victims = [pid]
        if chance.random() < 0.5:  # the machine goes down; otherwise the launcher alone
            victims += workers_of(pid)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed += 1
    print("killed", killed)


main()
