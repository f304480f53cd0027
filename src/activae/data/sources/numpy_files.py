"""What NumPy's files hold: plain and structured arrays, and the arrays of an archive by role."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import recfunctions
from numpy.typing import NDArray

from activae.data.sources.files import available_bytes, shortened
from activae.data.sources.numbers import column_indices
from activae.errors import ConfigError, DataError

# Names that arrays in an .npz go by.
KEYS = {
    "train": ("data", "x", "x_train", "train"),
    "train_labels": ("labels", "y", "y_train", "train_labels"),
    "test": ("test", "x_test", "test_data"),
    "test_labels": ("test_labels", "y_test"),
}
_WORDS = {
    "train": "samples",
    "train_labels": "labels",
    "test": "test samples",
    "test_labels": "test labels",
}
# These are never taken for the samples: a split makes the validation part.
OF_VALIDATION = re.compile(r"(x|y|data|labels)?_?(val|valid|validation|dev)(_data|_labels)?", re.I)
# MemoryError: a header may name any size, before anything is read.
_READ_ERRORS = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError)
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Content:
    """The arrays of a file by their role, and the names of its columns if they have any."""

    train: Array
    train_labels: Array | None = None
    test: Array | None = None
    test_labels: Array | None = None
    features: tuple[str, ...] | None = None
    note: str = ""


def read_numpy(file: Path, columns: Sequence[str] | None) -> Content:
    """What an `.npy` or `.npz` holds; `columns` are fields of a structured `.npy`.

    Raises ConfigError for columns that there are not, DataError for what holds no plain arrays.
    """
    try:
        with file.open("rb") as stream:  # given a path, numpy leaves a damaged archive open
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return _plain(file, loaded, columns)
            _refuse_flood(file)
            arrays = {key: loaded[key] for key in loaded.files}
    except (ConfigError, DataError):
        raise
    except _READ_ERRORS as error:
        raise _damaged(file, error) from error
    if columns is not None:
        raise _no_columns(file, columns)
    if {"format", "shape", "data"} <= set(arrays):
        raise DataError(
            f"{file}: is a scipy sparse matrix, of which nothing is read but whole arrays; save it "
            "as one: numpy.save('FILE.npy', scipy.sparse.load_npz('FILE.npz').toarray())."
        )
    return _pick_arrays(file, arrays)


def _refuse_flood(file: Path) -> None:
    """Raise DataError for an archive whose arrays do not fit the memory: zeros compress well."""
    with zipfile.ZipFile(file) as archive:
        needed = sum(member.file_size for member in archive.infolist())
    available = available_bytes()
    if needed > available:
        raise DataError(
            f"{file}: its arrays take {needed / 1e9:.3g} GB, and {available / 1e9:.3g} GB of "
            "memory are available; save them as .npy, which can stay on disk."
        )


def map_npy(file: Path) -> np.memmap[Any, Any]:
    """The array of an `.npy`, of which nothing is read yet. Raises DataError if it holds none."""
    try:
        mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    except _READ_ERRORS as error:
        raise _damaged(file, error) from error
    if not isinstance(mapped, np.memmap):
        mapped.close()
        raise _damaged(file, ValueError("it is an archive"))
    return mapped


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(
        f"{file} does not hold plain arrays of numbers, or is damaged. Write it with "
        f"numpy.save or numpy.savez, and convert Python objects to numbers first. ({error})"
    )


def _plain(file: Path, values: Array, columns: Sequence[str] | None) -> Content:
    """An array; of a structured one the fields as columns, all or those named."""
    if not values.dtype.names:
        if columns is not None:
            raise _no_columns(file, columns)
        return Content(values)
    names = list(values.dtype.names)
    chosen = (
        [names[i] for i in column_indices(file, names, columns)] if columns is not None else names
    )
    # Fields in another order than the file's come as views with negative strides.
    numbers = np.ascontiguousarray(recfunctions.structured_to_unstructured(values[chosen]))
    return Content(numbers, features=tuple(chosen))


def _no_columns(file: Path, columns: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"data.source.columns=[{','.join(columns)}]: the columns of {file} have no names; those of "
        ".csv, .parquet and structured arrays have."
    )


def _pick_arrays(file: Path, arrays: dict[str, Array]) -> Content:
    names = {role: _name_of(file, role, arrays) for role in KEYS}
    if names["train"] is None:
        names["train"] = _unnamed(file, arrays)
    chosen = {role: None if name is None else arrays[name] for role, name in names.items()}
    rest = [name for name in arrays if name not in names.values()]
    return Content(**chosen, note=_note_on_others(rest))  # type: ignore[arg-type]


def samples_of(file: Path, arrays: dict[str, Array]) -> Array:
    """An archive's array of samples. Raises DataError where none can be told."""
    return _pick_arrays(file, arrays).train


def _name_of(file: Path, role: str, arrays: dict[str, Array]) -> str | None:
    """The array that has a role. Raises DataError where several have its names."""
    found = [name for name in KEYS[role] if name in arrays]
    if len(found) > 1:
        raise DataError(
            f"{file} holds {' and '.join(found)}, each a name for the {_WORDS[role]}: "
            "which one is meant? Write the file with one of them (numpy.savez)."
        )
    return found[0] if found else None


def _unnamed(file: Path, arrays: dict[str, Array]) -> str:
    """The one array whose name says nothing. Raises DataError where there are others or none."""
    known = {key for keys in KEYS.values() for key in keys}
    others = [name for name in arrays if name not in known]
    if len(arrays) > 1:
        others = [name for name in others if not OF_VALIDATION.fullmatch(name)]
    if len(others) != 1:
        raise DataError(
            f"{file} holds the arrays {', '.join(arrays) or '(none)'}: which one are the "
            "samples? Name it 'data' (numpy.savez(path, data=...))."
        )
    return others[0]


def _note_on_others(names: Sequence[str]) -> str:
    if not names:
        return ""
    note = f"Not read: {shortened(names)}."
    if any(map(OF_VALIDATION.fullmatch, names)):
        note += (
            " The validation part is split off from the samples (data.val_fraction); append these "
            "to the samples to have them used."
        )
    return note
