"""Claims: who is at work on what, told to other processes.

A claim is a lock of the operating system on a file: taken by one process at a time, on a shared
file system too, and let go by the kernel however that process ends.
"""

from __future__ import annotations

import errno
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from activae.errors import ConfigError
from activae.results.run_folder import CLAIM, DONE

log = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)


class NoLocks(ConfigError):
    """A file lies on a file system without locks."""


class Claimed(ConfigError):
    """Another process is at work on a run."""


def take_lock(file: Path, *, blocking: bool = True) -> FileLock:
    """Take a lock, to be released.

    Raises Timeout if it is taken and we are not to wait for it, NoLocks where there are none.
    """
    lock = FileLock(file)
    try:
        with warnings.catch_warnings():
            # filelock's substitute for a lock outlives the process that took it.
            warnings.filterwarnings("error", message="flock not supported")
            lock.acquire(blocking=blocking)
    except (OSError, NotImplementedError, UserWarning) as error:
        if isinstance(error, Timeout) or (
            isinstance(error, OSError) and error.errno not in _NO_LOCKS
        ):
            raise
        raise NoLocks(f"{file.parent}: lies on a file system without locks ({error})") from error
    return lock


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Have the run folder for this process alone, as long as the context lasts.

    Raises Claimed where another process has it. Where no lock can be had there is no claim; a
    folder that cannot be written is for those to tell of who write there.
    """
    file = folder / CLAIM
    lock = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(file, blocking=False)
    except Timeout:
        raise Claimed(
            f"{folder}: another process is at work on this run; wait for its end, or stop it first"
        ) from None
    except (OSError, NoLocks) as error:
        log.debug("%s: not claimed: %s", folder, error)
    try:
        yield
    finally:
        if lock is not None:
            if (folder / DONE).exists():  # from here on that refuses whoever comes
                with suppress(OSError):
                    file.unlink()
            lock.release()
