"""Pillow's images as samples of a run: cut to its size, or as they are where it cuts none."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from activae.data.sources.image_folder import ENDINGS, ERRORS, MODES, fitted, upright
from activae.data.spec import DataSpec
from activae.errors import DataError
from activae.use.forms import LARGEST_BYTE

__all__ = ["ENDINGS", "is_picture", "reader"]

_FOLDER = "activae.data.image_folder"


def is_picture(x: Any) -> bool:
    """Whether x is one of Pillow's images; does not import Pillow."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(x, module.Image)


def reader(
    spec: DataSpec, source: Mapping[str, Any], bounds: tuple[float, float]
) -> Callable[[Any], Tensor]:
    """What makes a raw sample [C, H, W] of an image or a file: black is the smaller of the bounds.

    Runs on a folder of images cut it to their size, as they did in training; for others it must
    have that size. Colours are made grey where the run has one channel.
    """
    channels, height, width = spec.shape
    cuts = source["_target_"] == _FOLDER
    low, high = bounds

    def read(image: Any) -> Tensor:
        if channels not in MODES:
            raise DataError(
                f"an image was given; the run expects samples of {channels} channels, as arrays."
            )
        if not cuts and image.size != (width, height):
            raise DataError(
                f"an image of {image.size[0]} x {image.size[1]} pixels was given; the run expects "
                f"{width} x {height} (width x height)."
            )
        found = (
            fitted(image, height, width, MODES[channels])
            if cuts
            else np.array(upright(image).convert(MODES[channels]))
        )
        pixels = torch.from_numpy(found)
        pixels = pixels.movedim(2, 0) if channels > 1 else pixels[None]
        if bounds == (0.0, float(LARGEST_BYTE)):
            return pixels
        return low + pixels.float() * ((high - low) / LARGEST_BYTE)

    return partial(_guarded, read)


def _guarded(read: Callable[[Any], Tensor], image: Any) -> Tensor:
    """What `read` makes of an image or a file. DataError where it is none, or a bomb."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    what = str(image) if isinstance(image, Path) else "an image"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of tags that are no part of the picture
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            if not isinstance(image, Path):
                return read(image)
            with Image.open(image) as opened:
                return read(opened)
        except DataError as error:
            raise (DataError(f"{what}: {error}") if isinstance(image, Path) else error) from error
        except (*ERRORS, *bombs) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{what}: cannot be read: {reason}") from error
