"""The file that data.path names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from activae.errors import ConfigError, DataError


def existing_file(path: str | Path | None, endings: Sequence[str]) -> Path:
    """The file, if it is there, is not empty and has one of the endings.

    Raises ConfigError where no path is given, DataError where it leads to no such file.
    """
    if not path:
        raise ConfigError(f"data.path is not set: name a file ending in {', '.join(endings)}.")
    file = Path(path).expanduser()
    if file.is_dir():
        raise DataError(f"data.path={file} is a folder: name a file in it.")
    if not file.is_file():
        raise DataError(f"data.path={file}: there is no such file (looked in {Path.cwd()}).")
    if file.suffix.lower() not in endings:
        raise DataError(
            f"data.path={file}: unknown ending '{file.suffix}'; save the data as "
            f"{', '.join(endings)}."
        )
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty (0 bytes).")
    return file
