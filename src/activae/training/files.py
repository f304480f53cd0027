"""The files of a run folder: the checkpoints' names, and how any is written.

Whole or not at all, on the disk, and never through a link.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from activae.config.settling import CONFIG
from activae.errors import DataError, UserError

FOLDER = "checkpoints"
BEST = f"{FOLDER}/best.ckpt"
LAST = f"{FOLDER}/last.ckpt"


def write_whole(file: Path, content: bytes | memoryview, *, durable: bool = True) -> None:
    """Write the file: a process or machine that stops here leaves what was there before.

    A link in the file's place, or in that of the partial file beside it, is replaced and not
    followed. Where it isn't `durable`, only a process may stop: that spares waiting for the disk.
    Raises OSError, with the file's name.
    """
    with whole(file, durable=durable) as handle:
        handle.write(content)


@contextmanager
def whole(file: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """As `write_whole`, for content that comes in parts: what is written is the file at the end.

    What is raised meanwhile leaves what was there before.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with partial.open("x+b") as handle:
            yield handle
            if durable:  # or the new name may outlive a crash and the content not
                handle.flush()
                os.fsync(handle.fileno())
        os.replace(partial, file)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if not isinstance(error, OSError) or error.filename not in (None, str(partial)):
            raise
        # What writes says nothing of the file in its error.
        raise OSError(error.errno, error.strerror, str(file)) from error
    if durable:
        _write_names(file.parent)


@contextmanager
def parts_of(checkpoint: Path | None) -> Iterator[None]:
    """Around nothing but the use of what a checkpoint file held: what fails there is its fault.

    Raises DataError. None: what is used comes from memory, and an error is our own.
    """
    try:
        yield
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if checkpoint is None:
            raise
        advice = "get the folder again from where it came"
        if checkpoint.parent.name == FOLDER:
            advice = f"without the folder {checkpoint.parent} the run can be trained from its start"
        raise DataError(
            f"{checkpoint}: does not fit the run's {CONFIG}, or is damaged "
            f"({type(error).__name__}: {error}); {advice}"
        ) from error


def _write_names(folder: Path) -> None:
    """Get the folder's names onto the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
