"""What a sample of a plain array is: its shape as a vector or an image, its type as a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.errors import ConfigError, DataError

Array = NDArray[Any]

IMAGE_CHANNELS = (1, 3)
# Exact in float32; wider numbers stay float64 until they are normalised.
EXACT_IN_FLOAT32 = ("float16", "float32", "int8", "int16", "uint16")


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
