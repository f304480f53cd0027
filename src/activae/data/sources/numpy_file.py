"""Plain arrays from NumPy's files."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import recfunctions
from numpy.typing import NDArray

from activae.data.sources.table import column_indices
from activae.errors import ConfigError, DataError

Array = NDArray[Any]

# Names that arrays in an .npz go by; the first that is present is taken.
NPZ_KEYS = {
    "train": ("data", "x", "x_train", "train"),
    "train_labels": ("labels", "y", "y_train", "train_labels"),
    "test": ("test", "x_test", "test_data"),
    "test_labels": ("test_labels", "y_test"),
}
_READ_ERRORS = (ValueError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class Content:
    """The arrays of a file by their role."""

    train: Array
    train_labels: Array | None = None
    test: Array | None = None
    test_labels: Array | None = None


def read_numpy(file: Path, columns: Sequence[str] | None) -> Content:
    """What an `.npy` or `.npz` holds; `columns` are fields of a structured `.npy`.

    Raises ConfigError for columns that there are not, DataError for what holds no plain arrays.
    """
    try:
        with file.open("rb") as stream:  # given a path, numpy leaves a damaged archive open
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return Content(_plain(file, loaded, columns))
            arrays = {key: loaded[key] for key in loaded.files}
    except (ConfigError, DataError):
        raise
    except _READ_ERRORS as error:
        raise _damaged(file, error) from error
    if columns is not None:
        raise _no_columns(file, columns)
    return _pick_arrays(file, arrays)


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


def _plain(file: Path, values: Array, columns: Sequence[str] | None) -> Array:
    """The fields of a structured array as columns, all or those named."""
    if not values.dtype.names:
        if columns is not None:
            raise _no_columns(file, columns)
        return values
    names = list(values.dtype.names)
    chosen = (
        [names[i] for i in column_indices(file, names, columns)] if columns is not None else names
    )
    return recfunctions.structured_to_unstructured(values[chosen])


def _no_columns(file: Path, columns: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"data.source.columns=[{','.join(columns)}]: the columns of {file} have no names; those of "
        ".csv, .parquet and structured arrays have."
    )


def _pick_arrays(file: Path, arrays: dict[str, Array]) -> Content:
    roles = {
        role: next((arrays[key] for key in keys if key in arrays), None)
        for role, keys in NPZ_KEYS.items()
    }
    train = roles.pop("train")
    if train is None:
        known = {key for keys in NPZ_KEYS.values() for key in keys}
        unnamed = [key for key in arrays if key not in known]
        if len(unnamed) != 1:
            raise DataError(
                f"{file} holds the arrays {', '.join(arrays) or '(none)'}: which one are the "
                "samples? Name it 'data' (numpy.savez(path, data=...))."
            )
        train = arrays[unnamed[0]]
    return Content(train, **roles)
