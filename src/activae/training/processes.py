"""Processes that work for this one: started, listened to, asked to stop, seen to their end.

A pool's workers and the ranks of one run are such processes. Each has a line to the one that
started it, which breaks when either dies: so a death is noticed at both ends.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import torch.multiprocessing  # makes tensors that are sent to a process shared ones

_STOP = "stop"


class Line:
    """A process's line to the one that started it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tell(self, told: Any) -> None:
        """Send it; the process ends where there is nobody to receive it."""
        try:
            self._connection.send(told)
        except OSError:
            os._exit(1)

    def listen(self, on_stop: Callable[[], Any]) -> None:
        """From now on, call `on_stop` in a thread when asked to stop; end when the line breaks."""
        Thread(target=self._listen, args=(on_stop,), daemon=True).start()

    def _listen(self, on_stop: Callable[[], Any]) -> None:
        try:
            while self._connection.recv() == _STOP:
                on_stop()
        except (EOFError, OSError):
            os._exit(1)  # the results of this process would reach nobody


class Child:
    """A process that was started, as `Crew` sees it; `number` counts from 0."""

    def __init__(self, number: int, process: BaseProcess, line: Connection) -> None:
        self.number = number
        self.process = process
        self.line = line

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it runs."""
        return self.process.exitcode

    def ask_to_stop(self) -> None:
        """Have it call what it gave to `Line.listen`; nothing where it has ended."""
        with suppress(OSError):
            self.line.send(_STOP)

    def hang_up(self) -> None:
        """Close the line to a process that has ended or is about to; wait for its end."""
        self.line.close()
        self.process.join()


class Crew:
    """The processes that are started in its context; those still at work in the end are killed.

    start_method: of multiprocessing; preload: modules that a fork server imports beforehand.
    """

    def __init__(self, start_method: str, preload: Sequence[str] = ()) -> None:
        self._context: Any = torch.multiprocessing.get_context(start_method)
        self._forks = start_method == "fork"
        if start_method == "forkserver":
            self._context.set_forkserver_preload(list(preload))
        self.children: list[Child] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        left = self.working
        for child in left:
            child.process.kill()
        for child in left:
            child.hang_up()

    @property
    def working(self) -> list[Child]:
        """Those that have not hung up."""
        return [child for child in self.children if not child.line.closed]

    def start(self, main: Callable[..., None], *args: Any) -> Child:
        """Start a process that calls main(*args, line) and then ends."""
        here, there = self._context.Pipe()
        # A fork inherits these ends too, and a line would not break as long as one has them open.
        inherited = [here, *(child.line for child in self.working)] if self._forks else []
        process = self._context.Process(target=_run, args=(main, args, there, inherited))
        with warnings.catch_warnings():
            # Python warns of threads that a fork leaves behind: numpy's and the interpreter's own
            # are made for it, and torch is kept from starting any.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        there.close()
        child = Child(len(self.children), process, here)
        self.children.append(child)
        return child

    def hear(self, seconds: float | None = None) -> Iterator[tuple[Child, Any]]:
        """What those at work tell within some seconds; None of one that has ended."""
        lines = {child.line: child for child in self.working}
        for line in wait(list(lines), seconds):
            assert isinstance(line, Connection)
            try:
                told = line.recv()
            except (EOFError, OSError):
                lines[line].hang_up()
                told = None
            yield lines[line], told


def _run(
    main: Callable[..., None],
    args: Sequence[Any],
    connection: Connection,
    inherited: Sequence[Connection],
) -> None:
    for line in inherited:
        line.close()
    main(*args, Line(connection))


def interrupt() -> None:
    """What Ctrl-C would do to this process."""
    os.kill(os.getpid(), signal.SIGINT)


def meaning_of_exit(code: int | None) -> str:
    """A process's exit code in words."""
    if code == -signal.SIGKILL:
        return "SIGKILL: somebody ended it, or memory ran out"
    return signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
