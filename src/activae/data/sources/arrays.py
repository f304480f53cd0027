"""The user's own data: a NumPy array or a table, from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from activae.data.on_disk.memory import available_bytes
from activae.data.on_disk.rows import NpyRows
from activae.data.source import Source
from activae.data.sources.csv_table import read_csv
from activae.data.sources.files import existing_file
from activae.data.sources.label_codes import encode_labels
from activae.data.sources.numpy_file import Content, map_npy, read_numpy
from activae.data.sources.parquet import read_parquet
from activae.data.sources.shaping import to_samples
from activae.errors import ConfigError, DataError

ENDINGS = (".npy", ".npz", ".csv", ".parquet")
# Share of the memory available that a file's samples may take, to leave the rest to others.
SHARE_OF_MEMORY = 0.5
MEGABYTE = 1 << 20
LARGEST_BYTE = 255


def array(
    path: str | Path,
    value_range: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
    columns: Sequence[str] | None = None,
    label_column: str | int | None = None,
    in_memory: bool | None = None,
    buffer_mb: float = 512,
) -> Source:
    """Samples from an `.npy`, `.npz`, `.csv` or `.parquet` file.

    The array's dimensions say what a sample is: 2, `[N, features]`, vectors; 3, `[N, H, W]`,
    grey images; 4, images `[N, C, H, W]`, or `[N, H, W, C]` where the last dimension is 1 or 3
    and the second is neither. `image_shape` overrules the guess. The fields of a structured array
    are columns.

    An `.npz` holds the samples as `data` (or `x`, `x_train`, `train`, or the one array that has
    no other role) and may add `labels` (`y`, `y_train`, `train_labels`), `test` (`x_test`,
    `test_data`) and `test_labels` (`y_test`). Labels are numbers or text, one a sample.

    An `.npy` that is too large for memory stays on disk: memory does not grow with the file, and
    training runs at the speed of the disk. Then the splits are made of whole blocks of
    neighbouring rows (up to 4 MiB), and an epoch shuffles the order of blocks and the rows of those
    that are in the buffer together, so that its batches are other ones than in memory. What is
    computed of the same rows is the same.

    Args:
        path: the file.
        value_range: smallest and largest value that the data can take, such as [0, 255].
        image_shape: `[C, H, W]` or `[H, W]`: makes vectors into images, or, of a 4-dimensional
            array, says which dimension is the channels.
        columns: of a table or structured array: the names of the columns to take, in this order.
        label_column: of a table: name or index (from 0) of the column that holds labels.
        in_memory: whether an `.npy` is loaded whole; null: where that takes at most half of the
            memory available.
        buffer_mb: megabytes (2^20) for rows that are read ahead and shuffled, of a file that stays
            on disk. More of them mix better.

    Raises:
        ConfigError: a setting that does not fit the file.
        DataError: the file is missing, empty, not numeric or not shaped like samples.
    """
    file = existing_file(path, ENDINGS)
    declared = _checked_range(value_range)
    shaped = partial(to_samples, file, image_shape=image_shape)
    try:
        if _stays_on_disk(file, in_memory):
            _refuse_columns_on_disk(columns)
            _refuse_label_column(file, label_column)
            train = NpyRows(file, map_npy(file), shaped, _bytes(buffer_mb))
            return Source(str(file), train, value_range=declared, note=_note_on_disk(train))
        content = _read(file, columns, label_column)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    labels = encode_labels(file, content.train_labels, content.test_labels)
    samples = shaped(content.train)
    return Source(
        name=str(file),
        train=samples,
        train_labels=labels[0],
        test=None if content.test is None else shaped(content.test),
        test_labels=labels[1],
        value_range=declared,
        class_names=labels[2],
        note="" if declared else _note_on_bytes(samples),
    )


def _read(file: Path, columns: Sequence[str] | None, label_column: str | int | None) -> Content:
    match file.suffix.lower():
        case ".csv":
            return Content(*read_csv(file, label_column, columns))
        case ".parquet":
            return Content(*read_parquet(file, label_column, columns))
    _refuse_label_column(file, label_column)
    return read_numpy(file, columns)


def _refuse_label_column(file: Path, label_column: str | int | None) -> None:
    if label_column is not None:
        raise ConfigError(
            f"data.source.label_column={label_column} is for tables (.csv, .parquet); labels of "
            f"{file} belong into an .npz as the array 'labels'."
        )


def _refuse_columns_on_disk(columns: Sequence[str] | None) -> None:
    if columns is not None:
        raise ConfigError(
            f"data.source.columns=[{','.join(columns)}]: an array that stays on disk is used "
            "whole; save these columns as a file of their own, or set data.source.in_memory=true."
        )


def _note_on_bytes(samples: Tensor) -> str:
    """What to say of 8-bit values that were saved as a wider type; nothing of others."""
    if samples.dtype == torch.uint8:
        return ""
    low, high = (bound.item() for bound in samples.aminmax())
    is_wide = low >= 0 and LARGEST_BYTE / 2 < high <= LARGEST_BYTE
    if not is_wide or not bool((samples == samples.floor()).all()):
        return ""
    return (
        f"All values are whole numbers from {low:g} to {high:g}: if they are 8-bit values, such as "
        "those of pictures, that were saved as another type, declare data.value_range=[0,255]."
    )


def _stays_on_disk(file: Path, in_memory: bool | None) -> bool:
    is_npy = file.suffix.lower() == ".npy"
    if in_memory is False and not is_npy:
        raise ConfigError(
            f"data.source.in_memory=false: only an .npy can stay on disk; convert {file} with "
            "numpy.save."
        )
    if in_memory is not None or not is_npy:
        return in_memory is False
    # A value is 1 byte or more in the file; splitting copies it, normalising makes it 4 bytes.
    available = available_bytes()
    if available is None or 6 * file.stat().st_size <= SHARE_OF_MEMORY * available:
        return False
    header = map_npy(file)
    needed = 2 * header.nbytes + 4 * header.size
    return needed > SHARE_OF_MEMORY * available and not header.dtype.names


def _bytes(buffer_mb: float) -> float:
    if not (math.isfinite(buffer_mb) and buffer_mb > 0):
        raise ConfigError(f"data.source.buffer_mb={buffer_mb}: must be a number greater than 0.")
    return buffer_mb * MEGABYTE


def _note_on_disk(rows: NpyRows) -> str:
    return (
        f"Stays on disk ({rows.nbytes / 1e9:.3g} GB), is split by blocks of {rows.block_rows} rows "
        f"and shuffled {rows.window_rows} rows at a time; data.source.in_memory=true loads it."
    )


def _checked_range(value_range: Sequence[float] | None) -> tuple[float, float] | None:
    if value_range is None:
        return None
    bounds = tuple(float(bound) for bound in value_range)
    if len(bounds) != 2 or not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[1]:
        raise ConfigError(
            f"data.value_range={list(value_range)}: give the smallest and the largest value, such "
            "as [0,255], or null."
        )
    return bounds[0], bounds[1]
