"""The user's own data: a NumPy array or a CSV file."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.data.csv_table import read_csv
from activae.data.source import Source
from activae.errors import ConfigError, DataError

Array = NDArray[Any]

# Names that arrays in an .npz go by; the first that is present is taken.
NPZ_KEYS = {
    "train": ("data", "x", "x_train", "train"),
    "train_labels": ("labels", "y", "y_train", "train_labels"),
    "test": ("test", "x_test", "test_data"),
    "test_labels": ("test_labels", "y_test"),
}
ENDINGS = (".npy", ".npz", ".csv")
IMAGE_CHANNELS = (1, 3)
# Exact in float32; wider numbers stay float64 until they are normalised.
EXACT_IN_FLOAT32 = ("float16", "float32", "int8", "int16", "uint16")


@dataclass(frozen=True, eq=False)
class _Content:
    train: Array
    train_labels: Array | None = None
    test: Array | None = None
    test_labels: Array | None = None


def array(
    path: str | Path,
    value_range: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
    label_column: str | int | None = None,
) -> Source:
    """Samples from an `.npy`, `.npz` or `.csv` file.

    The array's dimensions say what a sample is: 2, `[N, features]`, vectors; 3, `[N, H, W]`,
    grey images; 4, images `[N, C, H, W]`, or `[N, H, W, C]` where the last dimension is 1 or 3
    and the second is neither. `image_shape` overrules the guess.

    An `.npz` holds the samples as `data` (or `x`, `x_train`, `train`, or the one array that has
    no other role) and may add `labels` (`y`, `y_train`, `train_labels`), `test` (`x_test`,
    `test_data`) and `test_labels` (`y_test`). Labels are numbers or text, one a sample.

    Args:
        path: the file.
        value_range: smallest and largest value that the data can take, such as [0, 255].
        image_shape: `[C, H, W]` or `[H, W]`: makes vectors into images, or, of a 4-dimensional
            array, says which dimension is the channels.
        label_column: of a CSV file: name or index (from 0) of the column that holds labels.

    Raises:
        ConfigError: a setting that does not fit the file.
        DataError: the file is missing, empty, not numeric or not shaped like samples.
    """
    file = _existing_file(path)
    try:
        content = _read(file, label_column)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    train_labels, test_labels, class_names = _encode_labels(file, content)
    return Source(
        name=str(file),
        train=_to_samples(file, content.train, image_shape),
        train_labels=train_labels,
        test=None if content.test is None else _to_samples(file, content.test, image_shape),
        test_labels=test_labels,
        value_range=_checked_range(value_range),
        class_names=class_names,
    )


def _existing_file(path: str | Path | None) -> Path:
    if not path:
        raise ConfigError(f"data.path is not set: name a file ending in {', '.join(ENDINGS)}.")
    file = Path(path).expanduser()
    if file.is_dir():
        raise DataError(f"data.path={file} is a folder: name a file in it.")
    if not file.is_file():
        raise DataError(f"data.path={file}: there is no such file (looked in {Path.cwd()}).")
    if file.suffix.lower() not in ENDINGS:
        raise DataError(
            f"data.path={file}: unknown ending '{file.suffix}'; save the data as "
            f"{', '.join(ENDINGS)}."
        )
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty (0 bytes).")
    return file


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


def _read(file: Path, label_column: str | int | None) -> _Content:
    if file.suffix.lower() == ".csv":
        values, labels = read_csv(file, label_column)
        return _Content(values, labels)
    if label_column is not None:
        raise ConfigError(
            f"data.source.label_column={label_column} is for CSV files; labels of {file} belong "
            "into an .npz as the array 'labels'."
        )
    try:
        with file.open("rb") as stream:  # given a path, numpy leaves a damaged archive open
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return _Content(loaded)
            return _pick_arrays(file, {key: loaded[key] for key in loaded.files})
    except DataError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{file} does not hold plain arrays of numbers, or is damaged. Write it with "
            f"numpy.save or numpy.savez, and convert Python objects to numbers first. ({error})"
        ) from error


def _pick_arrays(file: Path, arrays: dict[str, Array]) -> _Content:
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
    return _Content(train, **roles)


def _to_samples(file: Path, values: Array, image_shape: Sequence[int] | None) -> Tensor:
    """`[N, features]` or `[N, C, H, W]`, as uint8, float32 or float64."""
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
    if samples.ndim == 4 and _channels_come_last(samples.shape):
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


def _channels_come_last(shape: Sequence[int]) -> bool:
    return shape[3] in IMAGE_CHANNELS and shape[1] not in IMAGE_CHANNELS


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


def _encode_labels(
    file: Path, content: _Content
) -> tuple[Tensor | None, Tensor | None, tuple[str, ...] | None]:
    """Labels of any kind as indices into the sorted class names."""
    parts = [
        None if labels is None else _flat_labels(file, labels)
        for labels in (content.train_labels, content.test_labels)
    ]
    present = [part for part in parts if part is not None]
    if not present:
        return None, None, None
    names, codes = np.unique(np.concatenate(present), return_inverse=True)
    encoded = iter(torch.from_numpy(codes).split([len(part) for part in present]))
    train, test = (None if part is None else next(encoded) for part in parts)
    return train, test, tuple(str(name) for name in names)


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
