"""What is read off points of bits and error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from activae.use.rates.curves import Curve, common_rates, gain
from activae.use.rates.files import Point


def points(*pairs: tuple[float, float]) -> list[Point]:
    """Of bits a pixel and squared error; SSIM falls as the error rises."""
    return [Point(bits, mse, 1 - mse, 1, 1, "") for bits, mse in pairs]


def test_files_that_others_beat_are_left_out() -> None:
    curve = Curve.of(points((4, 0.01), (1, 0.08), (2, 0.04), (3, 0.035), (2.5, 0.06), (5, 0.01)))

    assert [point.bits for point in curve.points] == [1, 2, 4]  # 3 lies above the line


def test_between_two_files_images_are_shared_out() -> None:
    curve = Curve.of(points((1, 0.08), (3, 0.04)))

    psnr = curve.psnr_at(np.array([0.5, 2.0, 9.0]))

    assert math.isnan(psnr[0])
    assert psnr[1:] == pytest.approx([-10 * math.log10(0.06), -10 * math.log10(0.04)])
    assert curve.ssim_at(np.array([2.0])) == pytest.approx([0.94])
    assert curve.bits_at(psnr[1:2]) == pytest.approx([2.0])
    assert np.isnan(curve.bits_at(np.array([20.0]))).all()  # no file is so good


def test_half_the_bits_for_the_same_error_is_a_gain_of_half() -> None:
    errors = np.geomspace(0.1, 0.001, 30)
    bits = -np.log2(errors)  # 3 dB for each bit more
    slow = Curve.of(points(*zip(bits, errors, strict=True)))
    fast = Curve.of(points(*zip(bits / 2, errors, strict=True)))

    decibels, share = gain(fast, slow)

    assert share == pytest.approx(-0.5, abs=1e-3)
    assert gain(slow, fast)[1] == pytest.approx(1, abs=2e-3)
    assert decibels == pytest.approx(-gain(slow, fast)[0])
    # PSNR of 10 log10(2) dB a bit: the mean over log(bits) of as many bits as there are.
    low, high = slow.bits[0], fast.bits[-1]
    assert decibels == pytest.approx(
        10 * math.log10(2) * (high - low) / math.log(high / low), rel=0.01
    )


def test_curves_with_nothing_in_common_have_no_gain() -> None:
    near, far = Curve.of(points((1, 0.1), (2, 0.05))), Curve.of(points((3, 0.01), (4, 0.001)))

    assert np.isnan(gain(near, far)).all()


def test_rates_are_those_that_all_have_a_file_for_and_half_reach() -> None:
    ends = [(1, 5), (2, 6), (1.5, 9)]
    curves = [Curve.of(points((low, 0.1), (high, 0.01))) for low, high in ends]

    assert common_rates(curves) == (2, 6)
