"""Defaults that follow from the user's own file, read from its head before any sample is.

The yamls of configs/data name them. What a file does not tell, the run itself will complain of.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.data.sources.hints import text_labels
from activae.data.sources.numpy_files import map_npy, samples_of
from activae.data.sources.table import Table
from activae.data.sources.tables import ENDINGS as TABLES
from activae.data.sources.tables import open_table
from activae.errors import UserError

LARGEST_CODE = 32
_UNREADABLE = (UserError, OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError)


def code_dim(
    path: str | None,
    columns: Sequence[str] | None = None,
    label: str | int | None = None,
    drop: Sequence[str] | None = None,
    reader: str = "activae.data.array",
) -> int:
    """The largest power of 2 that is at most half the width of a sample, and 32 at the most.

    Three columns get 2, because a category takes several values of a sample.

    columns: those chosen, if they were; label and drop: those that are no features. reader: what
    reads them; `array` finds labels of text by itself.
    """
    width = len(columns) if columns else _width(Path(path or ""))
    if width is None:
        return LARGEST_CODE
    if not columns:
        finds = label is None and reader.endswith(".array")
        width -= _has_text_labels(Path(path or "")) if finds else label is not None
        width -= len(drop or ())
    if width <= 2:
        return 1
    return max(2, min(LARGEST_CODE, 1 << (width // 2).bit_length() - 1))


def normalisation(path: str | None, image_shape: Sequence[int] | None) -> str:
    """unit_range for images of bytes, whose range is known; standardise for all else."""
    head = _array_of(Path(path or ""))
    are_bytes = head is not None and head.dtype == np.uint8
    is_image = head is not None and (head.ndim > 2 or image_shape is not None)
    return "unit_range" if are_bytes and is_image else "standardise"


def _width(file: Path) -> int | None:
    if file.suffix.lower() not in TABLES:
        head = _array_of(file)
        return None if head is None else len(head.dtype.names or ()) or prod(head.shape[1:])
    try:
        return len(_table(file).names)
    except _UNREADABLE:
        return None


def _has_text_labels(file: Path) -> bool:
    try:
        return file.suffix.lower() in TABLES and text_labels(_table(file)) is not None
    except _UNREADABLE:
        return False


def _table(file: Path) -> Table:
    return open_table(file, has_header=lambda cells: True)


def _array_of(file: Path) -> NDArray[Any] | None:
    """The shape and type of a NumPy file's samples, as an array of which nothing is read."""
    try:
        match file.suffix.lower():
            case ".npy":
                return map_npy(file)
            case ".npz":
                with zipfile.ZipFile(file) as archive:
                    heads = {
                        name.removesuffix(".npy"): _head(archive, name)
                        for name in archive.namelist()
                    }
                return samples_of(file, heads)
    except _UNREADABLE:
        return None
    return None


def _head(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """An array of an archive's member's shape and type, which takes no memory."""
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
    return np.broadcast_to(np.empty((), dtype), shape)
