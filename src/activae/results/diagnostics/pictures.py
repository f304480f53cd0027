"""Pictures for TensorBoard, as tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_SIDE = 48  # px; below it, digits of 8 x 8 are specks on a page
GREY = 0.5  # tells the frame from black and from white images
SPRITE_SIDE = 8192  # px; the projector loads no larger picture


def reconstruction_grid(originals: Tensor, reconstructions: Tensor, *, columns: int = 8) -> Tensor:
    """Return one picture [C, H', W'] of originals, each above its reconstruction.

    Both are [n, C, H, W] in [0, 1]; values outside are clipped, NaN is drawn black. Rows of at most
    `columns` pairs, separated by grey lines, a thicker one below each pair. Images below 48 px are
    enlarged by a whole factor, pixel by pixel.
    """
    assert originals.shape == reconstructions.shape, (originals.shape, reconstructions.shape)
    assert originals.ndim == 4, originals.shape
    pairs = [_frame(_visible(images)) for images in (originals, reconstructions)]
    tiles = F.pad(torch.cat(pairs, dim=2), (0, 0, 0, 3), value=GREY)
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    missing = tiles.new_full((rows * columns - len(tiles), *tiles.shape[1:]), GREY)
    _, channels, height, width = tiles.shape
    grid = torch.cat((tiles, missing)).view(rows, columns, channels, height, width)
    return grid.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def thumbnails(images: Tensor) -> Tensor:
    """Return images [n, C, H, W] in [0, 1] as SummaryWriter.add_embedding's label_img [n, C, S, S].

    Square, because add_embedding cannot lay out anything else, with a grey margin where they were
    not; shrunk only where all n together would exceed the 8192 px a side that the projector loads.
    Float32 on the CPU, clipped to [0, 1], not inverted: the projector multiplies them by the
    label's colour, which shows in the light parts, be they strokes or background.
    """
    assert images.ndim == 4, images.shape
    shown = _clip(images).cpu()
    spare = [max(shown.shape[-2:]) - side for side in shown.shape[-2:]]
    (top, left), (bottom, right) = ([s // 2 for s in spare], [s - s // 2 for s in spare])
    square = F.pad(shown, (left, right, top, bottom), value=GREY)
    limit = SPRITE_SIDE // math.ceil(math.sqrt(len(square)))
    return square if square.shape[-1] <= limit else F.adaptive_avg_pool2d(square, limit)


def _clip(images: Tensor) -> Tensor:
    return images.detach().float().nan_to_num(nan=0).clamp(0, 1)


def _visible(images: Tensor) -> Tensor:
    factor = math.ceil(LEAST_SIDE / max(images.shape[-2:]))
    return _clip(images).repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


def _frame(images: Tensor) -> Tensor:
    return F.pad(images, (1, 1, 1, 1), value=GREY)
