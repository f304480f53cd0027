"""Any folder of pictures: decoded once, cut to one size."""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.data.binarising import binarised
from activae.data.source import Source
from activae.data.sources.files import files_below, natural_order
from activae.errors import ConfigError, DataError

if TYPE_CHECKING:
    from PIL import Image

log = logging.getLogger(__name__)

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MODES = {1: "L", 3: "RGB"}
_AT_MOST_16_BITS = ("PNG", "PPM")
DARK = 64  # of 255: where no pixel of any picture is brighter, most of the range lies idle
NAMES_SHOWN = 10
FILES_AT_A_TIME = 1024

# Whatever Pillow lets through on a damaged file.
ERRORS = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error)

Picture = NDArray[np.uint8]


def image_folder(
    path: str | Path,
    size: int | Sequence[int] = 32,
    channels: int = 3,
    skip_corrupt: bool = False,
    binarise: str | None = None,
) -> Source:
    """All pictures in a folder and the folders below it, uint8 `[C, H, W]`, 0 to 255.

    Each is scaled such that it just covers H x W, and what sticks out is cut off evenly on both
    sides: the aspect ratio is kept, the middle is shown. The orientation that a camera noted is
    applied; of an animation, the first frame counts; what is transparent is laid on white.

    Pictures come in the order of their names, numbers by value: img2 before img10. Where the folder
    has sub-folders with pictures, the name of the topmost is a picture's label, unless some lie in
    the folder itself.

    Args:
        path: the folder. Hidden files do not count, nor those that do not end in one of `ENDINGS`.
        size: `[H, W]` in pixels, or one number for both.
        channels: 1 (grey) or 3 (RGB).
        skip_corrupt: leave out pictures that cannot be decoded, and name them in the log, instead
            of refusing the folder.
        binarise: static or dynamic: values drawn as 0 or 1 (`activae.data.binarising`).

    Raises:
        ConfigError: `size`, `channels` or `binarise` is invalid.
        DataError: there is no such folder, no picture in it, or one that cannot be decoded.
    """
    height, width = _checked_size(size)
    if channels not in MODES:
        raise ConfigError(f"data.source.channels={channels}: give 1 (grey) or 3 (RGB).")
    folder = _existing_folder(path)
    files, left_out = files_below(folder, ENDINGS)
    if not files:
        raise DataError(
            f"data.path={folder}: there is no picture in this folder or below it (a file ending in "
            f"{', '.join(ENDINGS)})."
        )
    images, bad = _decode(files, height, width, channels)
    if bad:
        _report(folder, bad, len(files), skip_corrupt)
    kept = [file for file in files if file not in bad]
    labels, names = _labels(folder, kept)
    source = Source(
        name=str(folder),
        train=images,
        train_labels=labels,
        value_range=(0.0, 255.0),
        units="intensity of 8 bits",
        class_names=names,
        note=" ".join(filter(None, [left_out, *_notes(images, len(bad), len(files))])),
    )
    return binarised(source, binarise)


def _notes(images: Tensor, bad: int, count: int) -> Iterator[str]:
    if bad:
        yield f"{bad} of {count} pictures were skipped: they are corrupt."
    top = int(images.max()) if len(images) else 0
    if 1 < top < DARK:  # 0 and 1 are refused
        yield (
            f"No pixel is brighter than {top} of 255, as where 12 bits are saved in 16: "
            "data.normalisation=standardise takes the range that they have."
        )


def _checked_size(size: int | Sequence[int]) -> tuple[int, int]:
    match [size, size] if isinstance(size, int) else list(size):
        case [int(height), int(width)] if min(height, width) > 0:
            return height, width
    raise ConfigError(f"data.source.size={size}: give [H,W] in pixels, or one number for both.")


def _existing_folder(path: str | Path) -> Path:
    if not path:
        raise ConfigError("data.path is not set: name a folder of pictures.")
    folder = Path(path).expanduser()
    if folder.is_file():
        raise DataError(f"data.path={folder} is a file: name the folder that it lies in.")
    if not folder.is_dir():
        raise DataError(f"data.path={folder}: there is no such folder (looked in {Path.cwd()}).")
    return folder


def _decode(
    files: Sequence[Path], height: int, width: int, channels: int
) -> tuple[Tensor, dict[Path, str]]:
    """Pictures [N, C, H, W] of those that can be decoded, and what is wrong with the others."""
    from joblib import cpu_count

    images = torch.empty(len(files), channels, height, width, dtype=torch.uint8)
    bad: dict[Path, str] = {}
    kept = 0
    one = partial(_attempt, height=height, width=width, mode=MODES[channels])
    with warnings.catch_warnings(), ThreadPoolExecutor(cpu_count()) as pool:
        warnings.filterwarnings("ignore", module="PIL")  # of tags that are no part of the picture
        for file, picture in zip(files, _in_turn(pool, one, files), strict=True):
            if isinstance(picture, str):
                bad[file] = picture
            else:
                pixels = torch.from_numpy(picture)
                images[kept] = pixels.movedim(2, 0) if channels > 1 else pixels
                kept += 1
    return images[:kept], bad


def _in_turn(
    pool: ThreadPoolExecutor, job: Callable[[Path], Picture | str], files: Sequence[Path]
) -> Iterator[Picture | str]:
    """The job's results in order, with a bounded number of them ready in advance."""
    for first in range(0, len(files), FILES_AT_A_TIME):
        yield from pool.map(job, files[first : first + FILES_AT_A_TIME])


def _attempt(file: Path, height: int, width: int, mode: str) -> Picture | str:
    """The picture `[H, W]` or `[H, W, 3]`, or why it cannot be decoded."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return fitted(image, height, width, mode)
    except (*ERRORS, Image.DecompressionBombError) as error:
        return " ".join(str(error).split()) or type(error).__name__


def fitted(image: Image.Image, height: int, width: int, mode: str) -> Picture:
    """The image `[H, W]` or `[H, W, 3]`, scaled to cover that size and cut. Raises some of ERRORS.

    Its file is still open, or it has been decoded.
    """
    from PIL import ImageOps

    # A JPEG is decoded at the smallest of its scales that still has detail to spare.
    image.draft(None, (2 * max(height, width),) * 2)
    return np.array(ImageOps.fit(upright(image).convert(mode), (width, height)))


def upright(image: Image.Image) -> Image.Image:
    """The image as a camera held it, with 8 bits, on white. ValueError for an unknown range."""
    from PIL import ImageOps

    turned = _with_8_bits(ImageOps.exif_transpose(image), image.format)
    return _on_white(turned) if turned.has_transparency_data else turned


def _with_8_bits(image: Image.Image, form: str | None) -> Image.Image:
    """Pillow would clip values of 16 bits instead of scaling them; `form` is the file's format."""
    from PIL.Image import fromarray

    wide = image.mode == "I" and form not in _AT_MOST_16_BITS
    if wide or image.mode == "F":
        kind = "integers of 32 bits" if wide else "floating point"
        raise ValueError(f"its values are {kind}, of unknown range; save them as 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    scaled = np.asarray(image, dtype=np.float32) / 257
    return fromarray(scaled.round().clip(0, 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    from PIL.Image import alpha_composite, new

    opaque = image.convert("RGBA")
    return alpha_composite(new("RGBA", opaque.size, "white"), opaque)


def _report(folder: Path, bad: dict[Path, str], count: int, skip: bool) -> None:
    """Name the corrupt ones, in the log if they are to be skipped, otherwise in an error."""
    named = [f"{file.relative_to(folder)} ({reason})" for file, reason in bad.items()]
    if skip and len(bad) < count:
        for each in named:
            log.warning("skip   %s", each)
        return
    shown = "; ".join(named[:NAMES_SHOWN])
    more = f"; and {len(named) - NAMES_SHOWN} more" if len(named) > NAMES_SHOWN else ""
    remedy = "None is left." if skip else "Remove them, or set data.source.skip_corrupt=true."
    raise DataError(
        f"data.path={folder}: {len(bad)} of {count} pictures cannot be decoded: {shown}{more}. "
        f"{remedy}"
    )


def _labels(folder: Path, files: Sequence[Path]) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """Each picture's topmost sub-folder as an index into their names, if all lie in one."""
    parts = [file.relative_to(folder).parts for file in files]
    if any(len(part) == 1 for part in parts):
        return None, None
    names = natural_order({part[0] for part in parts})
    numbers = {name: number for number, name in enumerate(names)}
    return torch.tensor([numbers[part[0]] for part in parts]), tuple(names)
