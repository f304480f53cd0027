"""What asks a command to end, beside Ctrl-C: a signal, or a reader of its output that is gone."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from activae.errors import END_REQUESTS, EXIT_BY_SIGNAL, EXIT_INTERRUPTED

_STDOUT, _STDERR = 1, 2
_BROKEN_PIPE = getattr(signal, "SIGPIPE", None)  # Windows has none


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Take a request to end, of whatever kind, for Ctrl-C; the exit code tells which it was.

    Such requests come from `docker stop`, Kubernetes, scancel, systemd, timeout, a closed terminal.
    One that is ignored, as nohup has it, stays so.

    So does the end of what reads our output (`| head -3`): a command ends there as other Unix tools
    do, with the exit code of SIGPIPE, instead of training on for hours unseen. It does so as by
    Ctrl-C: checkpoints are written, nothing that was trained is lost, and standard error says how
    to continue.
    """
    received: list[int] = []

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if signum == _BROKEN_PIPE:
            if not _nobody_reads(_STDOUT):
                return  # another pipe's, such as that of a worker that died
            _be_quiet()
        received.append(signum)
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # a shell ignores it for what runs in the background
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    before = {
        each: signal.getsignal(each)
        for each in filter(None, (*END_REQUESTS, _BROKEN_PIPE))
        # Python ignores a broken pipe, and raises an error at the write.
        if each == _BROKEN_PIPE or signal.getsignal(each) is signal.SIG_DFL
    }
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    except SystemExit as end:
        if received and end.code == EXIT_INTERRUPTED:
            sys.exit(EXIT_BY_SIGNAL + received[0])
        raise
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Around what is printed last: who reads it (`| head`) may have seen enough, which is no error.

    The flush at the process's end then finds nobody either, so output goes nowhere from here on.
    The signal is not taken for Ctrl-C meanwhile, which `ended_as_by_ctrl_c` does: that would be
    told as an interruption.
    """
    before = None if _BROKEN_PIPE is None else signal.signal(_BROKEN_PIPE, signal.SIG_IGN)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        if _BROKEN_PIPE is not None:
            signal.signal(_BROKEN_PIPE, before)


def _nobody_reads(descriptor: int) -> bool:
    """Whether it is a pipe whose reader is gone."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(found & (select.POLLERR | select.POLLHUP) for _, found in poll.poll(0))


def _be_quiet() -> None:
    """Let what is still printed go nowhere, but for warnings: these go to standard error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in filter(_nobody_reads, (_STDOUT, _STDERR)):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    logging.raiseExceptions = False  # of the line that met the broken pipe
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)
            handler.setLevel(logging.WARNING)
