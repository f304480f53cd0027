"""The user's own numbers: a NumPy array or a table, from a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.data.binarising import binarised
from activae.data.layout import layout_of
from activae.data.on_disk.rows import NpyRows
from activae.data.source import Source
from activae.data.sources.files import available_bytes, encode_labels, existing_file
from activae.data.sources.hints import note_on_labels, note_on_row_numbers
from activae.data.sources.numbers import chosen_columns
from activae.data.sources.numpy_files import Content, map_npy, read_numpy
from activae.data.sources.tables import ENDINGS as TABLES
from activae.errors import ConfigError, DataError

ENDINGS = (".npy", ".npz", *TABLES)
# Share of the memory available that a file's samples may take, to leave the rest to others.
SHARE_OF_MEMORY = 0.5
MEGABYTE = 1 << 20
LARGEST_BYTE = 255


Array = NDArray[Any]
IMAGE_CHANNELS = (1, 3)
# Exact in float32; wider numbers stay float64 until they are normalised.
EXACT_IN_FLOAT32 = ("float16", "float32", "int8", "int16", "uint16")


def array(
    path: str | Path,
    value_range: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
    columns: Sequence[str] | None = None,
    label_column: str | int | None = None,
    in_memory: bool | None = None,
    buffer_mb: float = 512,
    binarise: str | None = None,
) -> Source:
    """Samples from an `.npy`, `.npz`, `.csv`, `.tsv`, `.txt` or `.parquet` file.

    The array's dimensions say what a sample is: 2, `[N, features]`, vectors; 3, `[N, H, W]`,
    grey images; 4, images `[N, C, H, W]`, or `[N, H, W, C]` where the last dimension is 1 or 3
    and the second is neither. `image_shape` overrules the guess. The fields of a structured array
    are columns.

    An `.npz` holds the samples as `data` (or `x`, `x_train`, `train`, or the one array that has
    no other role) and may add `labels` (`y`, `y_train`, `train_labels`), `test` (`x_test`,
    `test_data`) and `test_labels` (`y_test`). Labels are numbers or text, one a sample. A note
    names all other arrays, which are not read; two names for one role are an error.

    An `.npy` that is too large for memory stays on disk: memory does not grow with the file, and
    training runs at the speed of the disk. Splits and batches are those of the same file in memory.
    Files of more than 256 MiB or 4 million rows are split by blocks of neighbouring rows (up to
    4 MiB). Where the training rows do not fit half of `buffer_mb`, an epoch shuffles the order of
    blocks and the rows of those that the buffer holds together.

    Args:
        path: the file.
        value_range: smallest and largest value that the data can take, such as [0, 255].
        image_shape: `[C, H, W]` or `[H, W]`: makes vectors into images, or, of a 4-dimensional
            array, says which dimension is the channels.
        columns: of a table or structured array: the names of the columns to take, in this order.
        label_column: of a table: name or index (from 0) of the column that holds labels; null: a
            single column of text, if it is called as labels are.
        in_memory: whether an `.npy` is loaded whole; null: where that takes at most half of the
            memory available.
        buffer_mb: of an `.npy`: megabytes (2^20) for rows that are read ahead and shuffled
            together. More of them mix better. It decides the order of the batches in memory too.
        binarise: static or dynamic: values drawn as 0 or 1 (`activae.data.binarising`); needs
            `value_range`.

    Raises:
        ConfigError: a setting that does not fit the file.
        DataError: the file is missing, empty, not numeric or not shaped like samples.
    """
    file = existing_file(path, ENDINGS)
    declared = _checked_range(value_range)
    shaped = partial(to_samples, file, image_shape=image_shape)
    buffer = _bytes(buffer_mb)
    try:
        if _stays_on_disk(file, in_memory):
            _refuse_columns_on_disk(columns)
            _refuse_label_column(file, label_column)
            train = NpyRows(file, map_npy(file), shaped, buffer)
            note = _note_on_disk(train)
            source = Source(str(file), train, value_range=declared, note=note, layout=train.layout)
            return binarised(source, binarise)
        content = read(file, columns, label_column)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    labels = encode_labels(file, content.train_labels, content.test_labels)
    samples = shaped(content.train)
    # Only such arrays can stay on disk, where their rows are split and visited in the same way.
    has_layout = file.suffix.lower() == ".npy" and content.train.flags.c_contiguous
    source = Source(
        name=str(file),
        train=samples,
        train_labels=labels[0],
        test=None if content.test is None else shaped(content.test),
        test_labels=labels[1],
        value_range=declared,
        class_names=labels[2],
        features=content.features if samples.ndim == 2 else None,
        note=" ".join(filter(None, (content.note, "" if declared else _note_on_bytes(samples)))),
        layout=layout_of(content.train, shaped, buffer) if has_layout else None,
    )
    return binarised(source, binarise)


def read(file: Path, columns: Sequence[str] | None, label_column: str | int | None) -> Content:
    """What a file of any of the kinds holds, whole.

    Raises ConfigError for columns that there are not, DataError for what cannot be read.
    """
    if file.suffix.lower() in TABLES:
        chosen = chosen_columns(file, label_column, columns)
        table, label, features = chosen.table, chosen.label, chosen.features
        labels = None if label is None else table.labels(label)
        values = table.numbers(chosen.columns)
        notes = [_note_on_columns(values, labels, features)]
        if label is not None:
            notes.insert(0, _note_on_labels(table.names[label], label_column))
        return Content(values, labels, features=features, note=" ".join(notes).strip())
    _refuse_label_column(file, label_column)
    return read_numpy(file, columns)


def _note_on_labels(name: str, said: str | int | None) -> str:
    if said is not None:
        return f"Column {said} is read as labels, not trained on."
    return (
        f"Column {name} holds text: it is read as labels, not trained on, as with "
        f"data.source.label_column={name} (data=tabular would train on its categories)."
    )


def _note_on_columns(values: Array, labels: Array | None, features: tuple[str, ...] | None) -> str:
    """Which of the named columns seem to be no features."""
    if features is None:
        return ""
    of_labels = note_on_labels(features) if labels is None else ()
    remedy = "data.source.columns=[...], which lists the others, leaves it out"
    return " ".join([*of_labels, *note_on_row_numbers(features, values, remedy)])


def _refuse_label_column(file: Path, label_column: str | int | None) -> None:
    if label_column is not None:
        raise ConfigError(
            f"data.source.label_column={label_column} is for tables ({', '.join(TABLES)}); labels "
            f"of {file} belong into an .npz as the array 'labels'."
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
    if 6 * file.stat().st_size <= SHARE_OF_MEMORY * available:
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
        f"Stays on disk ({rows.nbytes / 1e9:.3g} GB) and is shuffled {rows.layout.window_rows} "
        "rows at a time; data.source.in_memory=true loads it."
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


def to_samples(file: Path, values: Array, image_shape: Sequence[int] | None) -> Tensor:
    """`[N, features]` or `[N, C, H, W]`, as uint8, float32 or float64.

    Raises ConfigError where `image_shape` does not fit, DataError for what holds no samples.
    """
    if values.ndim not in (2, 3, 4):
        raise DataError(
            f"{file}: an array of shape {list(values.shape)} is not a list of samples. Give "
            "[N, features] (one feature: reshape(-1, 1)), [N, H, W] or [N, C, H, W]."
        )
    if values.size == 0:
        raise DataError(f"{file}: the array is empty (shape {list(values.shape)}).")
    samples = torch.from_numpy(_to_torch_dtype(file, values))
    if image_shape is not None:
        return _as_images(file, samples, image_shape)
    if samples.ndim == 3:
        return samples.unsqueeze(1)
    if samples.ndim == 4 and _channels_come_last(samples):
        return samples.movedim(3, 1).contiguous()
    return samples


def _to_torch_dtype(file: Path, values: Array) -> Array:
    if values.dtype.kind not in "buif":
        raise DataError(
            f"{file}: values of type {values.dtype} are not real numbers; convert them first."
        )
    if values.dtype.kind == "b" or values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    exact = values.dtype.name in EXACT_IN_FLOAT32
    return values.astype(np.float32 if exact else np.float64, copy=False)


def _channels_come_last(samples: Tensor) -> bool:
    # Four channels are RGBA only in bytes; [N, 16, 4, 4] of floats are small maps of 16 channels.
    channels = (*IMAGE_CHANNELS, 4) if samples.dtype == torch.uint8 else IMAGE_CHANNELS
    return samples.shape[3] in channels and samples.shape[1] not in channels


def _as_images(file: Path, samples: Tensor, image_shape: Sequence[int]) -> Tensor:
    channels, height, width = _checked_image_shape(image_shape)
    given = list(samples.shape[1:])
    values = channels * height * width
    in_order = given in ([channels, height, width], [values])
    if in_order or (channels == 1 and given == [height, width]):
        return samples.reshape(-1, channels, height, width)
    if given == [height, width, channels]:
        return samples.movedim(3, 1).contiguous()
    raise ConfigError(
        f"data.source.image_shape={list(image_shape)} has {values} values, but samples of {file} "
        f"have shape {given} ({math.prod(given)} values)."
    )


def _checked_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    match list(image_shape) if isinstance(image_shape, Sequence) else None:
        case [int(channels), int(height), int(width)] if min(channels, height, width) > 0:
            return channels, height, width
        case [int(height), int(width)] if min(height, width) > 0:
            return 1, height, width
    raise ConfigError(f"data.source.image_shape={image_shape}: give [C,H,W] or [H,W].")
