"""The codecs of others on the same images: JPEG and WebP, and what loses nothing.

They are given as pictures of 8 bits. A file for each of such small images is mostly header, so
that they are also put side by side on one sheet: as one large picture, which shares it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from activae.data.sources.image_folder import MODES
from activae.use.forms import pictures
from activae.use.rates.files import Images, Point

JPEG, WEBP = "JPEG", "WebP"
SHEET = ", sheet"
QUALITIES = (1, 5, 10, 20, 30, 50, 70, 90)
SINGLE = 1000  # images of which files of their own are written
_BLOCKS = {JPEG: 8, WEBP: 16}  # pixels: what each transforms or predicts at a time
_SIDE = 16_383  # pixels: the largest picture that WebP takes

Pixels = NDArray[np.uint8]


def has_others(images: Images) -> bool:
    """Whether these are pictures: grey, or of three colours."""
    return images.raw.shape[1] in MODES


def lossy(images: Images) -> Iterator[tuple[str, Point]]:
    """Points of JPEG and WebP by quality: a file for each of some images, and sheets of all."""
    some = images.first(SINGLE)
    for kind, block in _BLOCKS.items():
        for quality in QUALITIES:
            yield kind, _of_files(some, _pixels(some), kind, quality)
            for padded in _paddings(images, block):
                yield kind + SHEET, _of_sheets(images, padded, kind, quality)


def lossless(images: Images) -> dict[str, float]:
    """Bits a pixel of what loses nothing."""
    pixels = _pixels(images)
    some = pixels[:: math.ceil(len(pixels) / SINGLE)]
    singly = sum(len(_encoded(_picture(each), "PNG", optimize=True)) for each in some)
    sheets = sum(len(_encoded(_picture(s), "PNG", optimize=True)) for s, _ in _sheets(pixels))
    area = images.pixels
    return {
        "zlib": 8 * len(zlib.compress(pixels.tobytes(), 9)) / area,
        "PNG": 8 * singly * len(pixels) / len(some) / area,
        f"PNG{SHEET}": 8 * sheets / area,
    }


def _of_files(images: Images, pixels: Pixels, kind: str, quality: int) -> Point:
    contents = [_encoded(_picture(each), kind, quality=quality) for each in pixels]
    again = np.stack([_decoded(content, pixels.shape[3]) for content in contents])
    return _point(images, again, sum(map(len, contents)), f"quality {quality}")


def _of_sheets(images: Images, pixels: Pixels, kind: str, quality: int) -> Point:
    """pixels: the images with room to the right and below, which belongs to no image."""
    size, parts = 0, []
    _, height, width, channels = pixels.shape
    for sheet, count in _sheets(pixels):
        content = _encoded(_picture(sheet), kind, quality=quality)
        size += len(content)
        again = _decoded(content, channels)
        tiles = again.reshape(-1, height, again.shape[1] // width, width, channels)
        parts.append(tiles.swapaxes(1, 2).reshape(-1, height, width, channels)[:count])
    kept = tuple(images.raw.shape[2:])
    found = np.concatenate(parts)[:, : kept[0], : kept[1]]
    gap = "" if kept == (height, width) else f", tiles of {height} x {width}"
    return _point(images, found, size, f"quality {quality}{gap}")


def _point(images: Images, pixels: Pixels, size: int, asked: str) -> Point:
    low, high = images.bounds
    shares = torch.from_numpy(pixels).movedim(-1, 1).float() / 255
    return images.point(low + shares * (high - low), size, asked)


def _pixels(images: Images) -> Pixels:
    """[N, H, W, C]."""
    found = np.stack([np.asarray(each) for each in pictures(images.raw, images.bounds)])
    return found[..., None] if found.ndim == 3 else found


def _paddings(images: Images, block: int) -> Iterator[Pixels]:
    """The images as they are and, where they end within a block, widened to whole ones."""
    pixels = _pixels(images)
    yield pixels
    rest = [-size % block for size in pixels.shape[1:3]]
    if any(rest):
        yield np.pad(pixels, ((0, 0), (0, rest[0]), (0, rest[1]), (0, 0)), "edge")


def _sheets(pixels: Pixels) -> Iterator[tuple[Pixels, int]]:
    """Large pictures [H, W, C] of all images, and how many are on each; the rest is black."""
    _, height, width, channels = pixels.shape
    side = min(math.ceil(math.sqrt(len(pixels))), max(1, _SIDE // max(height, width)))
    for first in range(0, len(pixels), side * side):
        part = pixels[first : first + side * side]
        rows = math.ceil(len(part) / side)
        room = np.zeros((rows * side - len(part), height, width, channels), np.uint8)
        tiles = np.concatenate([part, room]).reshape(rows, side, height, width, channels)
        yield tiles.swapaxes(1, 2).reshape(rows * height, side * width, channels), len(part)


def _picture(pixels: Pixels) -> Any:
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _encoded(picture: Any, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    if kind == JPEG:
        options["optimize"] = True  # Huffman tables that fit the picture
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _decoded(content: bytes, channels: int) -> Pixels:
    from PIL import Image

    with Image.open(BytesIO(content)) as picture:
        found = np.asarray(picture.convert(MODES[channels]))
    return found[..., None] if found.ndim == 2 else found
