"""Other codecs on small images: what comes back is judged, and every byte is counted."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
import torch

from activae.use.rates.files import Images
from activae.use.rates.others import lossless, lossy

BOUNDS = (0.0, 255.0)


def smooth(count: int, channels: int, side: int) -> Images:
    """Images of 8 bits with slopes of brightness."""
    noise = torch.Generator().manual_seed(0)
    slopes = torch.rand(count, channels, 2, 1, generator=noise)
    ramp = torch.arange(side) / side
    values = slopes[:, :, :1] * ramp[:, None] + (1 - slopes[:, :, 1:]) * ramp
    return Images((127.5 * values).round(), BOUNDS)


@pytest.mark.parametrize(("channels", "side"), [(1, 12), (3, 16)])
def test_sheets_come_back_in_place_and_share_a_header(channels: int, side: int) -> None:
    images = smooth(7, channels, side)  # two places of a sheet of 3 x 3 are left over

    found: dict[str, list[float]] = {}
    for name, point in lossy(images):
        found.setdefault(name, []).append(point.psnr)
        if point.asked.startswith("quality 90") and "sheet" in name:
            single = next(p for n, p in lossy(images) if n == name.split(",")[0])
            assert point.images == 7
            assert point.size < 7 * single.size
            assert point.bits == 8 * point.size / (7 * side * side)

    assert found.keys() == {"JPEG", "JPEG, sheet", "WebP", "WebP, sheet"}
    assert min(max(psnr) for psnr in found.values()) > 35


def test_error_is_that_of_values_in_the_unit_range() -> None:
    images = smooth(2, 1, 12)
    again = images.raw.clone()
    again[0] += 25.5
    again[1, 0, 0, 0] = -1000  # no picture shows it: as black as black

    point = images.point(again, 36, "")

    first = images.raw[1, 0, 0, 0].item() / 255
    assert point.mse == pytest.approx((0.01 + first**2 / 144) / 2, rel=1e-4)
    assert point.psnr == pytest.approx(-10 * math.log10(point.mse))
    assert point.bits == 1
    assert 0 < point.ssim < 1
    assert math.isnan(smooth(2, 1, 2).point(torch.zeros(2, 1, 2, 2), 1, "").ssim)


def test_without_loss_all_bytes_of_8_bit_pictures_count() -> None:
    images = smooth(5, 1, 12)
    raw = images.raw.numpy().astype(np.uint8).tobytes()

    found = lossless(images)

    assert found["zlib"] == 8 * len(zlib.compress(raw, 9)) / (5 * 144)
    assert found["PNG, sheet"] < found["PNG"]
