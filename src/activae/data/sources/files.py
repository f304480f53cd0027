"""What all readers of a user's files share: finding them, their text, labels and messages."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.errors import ConfigError, DataError

T = TypeVar("T")
CONTROL_GROUP = Path("/sys/fs/cgroup")


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


def files_below(folder: Path, endings: Sequence[str]) -> tuple[list[Path], str]:
    """The files with one of the endings, in natural order, and in words what else lies there.

    Hidden files and folders, such as notebooks' checkpoints and macOS' shadows, do not count. Links
    to folders are not followed, because they may lead back.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()
    links: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links += [name for name in folders if os.path.islink(os.path.join(place, name))]
        for file in (Path(place, name) for name in names if not name.startswith(".")):
            if file.suffix.lower() in endings:
                found.append(file)
            else:
                others[file.suffix.lower() or "no ending"] += 1
    parts = []
    if others:
        kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(others.items()))
        parts.append(f"Files of other kinds are left out: {kinds}.")
    if links:
        parts.append(f"Links to folders are not followed: {shortened(sorted(links), 3)}.")
    return natural_order(found, lambda file: file.relative_to(folder).parts), " ".join(parts)


Array = NDArray[Any]


def encoded(names: Sequence[str] | None) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """int64 indices [N] into the sorted names, and those; None for fewer than two."""
    if names is None or len(set(names)) < 2:
        return None, None
    classes, indices = np.unique(np.array(names, dtype=str), return_inverse=True)
    return torch.from_numpy(indices.astype(np.int64)), tuple(map(str, classes))


def encode_labels(
    file: Path, train: Array | None, test: Array | None
) -> tuple[Tensor | None, Tensor | None, tuple[str, ...] | None]:
    """Labels, numbers or text, as int64 indices `[N]` into the sorted names, which come third.

    Raises DataError where they are not one a sample.
    """
    parts = [None if labels is None else _flat_labels(file, labels) for labels in (train, test)]
    present = [part for part in parts if part is not None]
    if not present:
        return None, None, None
    names, codes = np.unique(np.concatenate(present), return_inverse=True)
    encoded = iter(torch.from_numpy(codes).split([len(part) for part in present]))
    codes_of = [None if part is None else next(encoded) for part in parts]
    return codes_of[0], codes_of[1], tuple(str(name) for name in names)


def _flat_labels(file: Path, labels: Array) -> Array:
    if labels.ndim == 0 or labels.size != len(labels):
        raise DataError(
            f"{file}: labels of shape {list(labels.shape)}; give one label a sample, [N]."
        )
    flat = labels.reshape(-1)
    try:
        numbers = flat.astype(np.float64)
    except ValueError:
        return flat.astype(str)
    whole = bool(np.isfinite(numbers).all()) and bool((numbers == np.floor(numbers)).all())
    return numbers.astype(np.int64) if whole else flat.astype(str)


def read_text(path: Path, encoding: str | None) -> str:
    """The whole file, by default in UTF-8, with or without a mark in front.

    Raises DataError where it is in another encoding, ConfigError where there is no such encoding.
    """
    try:
        return path.read_bytes().decode(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        if encoding is None:
            raise DataError(f"{path} is not text in UTF-8 ({error.reason}); save it so.") from error
        raise DataError(
            f"{path} is not text in {encoding}: byte {error.start} cannot be read "
            f"({error.reason}). Save it in {encoding}, or name its encoding: "
            "data.source.encoding=latin-1, say."
        ) from error
    except LookupError as error:
        raise ConfigError(
            f"data.source.encoding={encoding}: Python knows no such encoding; use utf-8-sig or "
            "latin-1, say."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def natural_order(names: Iterable[T], key: Callable[[T], Any] | None = None) -> list[T]:
    """Names or paths with digits as numbers, before letters: img2, img10, Imgs.

    Case decides between equals alone. key: gives the text, or the parts of a path, to sort by.
    """
    from natsort import natsorted, ns

    return natsorted(sorted(names, key=str), key=key, alg=ns.IGNORECASE)


def available_bytes() -> int:
    """Memory that the process can still take: the machine's, or less in a control group (Linux).

    What the system keeps of files counts as available.
    """
    from psutil import virtual_memory

    available = int(virtual_memory().available)
    with suppress(OSError, ValueError):  # no version 2 of control groups, or its limit is "max"
        limit = int((CONTROL_GROUP / "memory.max").read_text())
        available = min(available, limit - int((CONTROL_GROUP / "memory.current").read_text()))
    return available


def shortened(names: Sequence[str], most: int = 10) -> str:
    """The names in words, or the first of many and how many there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} of them)"
