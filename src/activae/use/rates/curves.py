"""What can be read off points of bits and error: the best at equal bits, and at equal error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from activae.compare.statistics import Array
from activae.use.rates.files import Point

STEPS = 100  # of an interval of rates or of PSNR that a mean is taken over


@dataclass(frozen=True)
class Curve:
    """The files that no other beats: the lower convex hull of (bits a pixel, squared error).

    Bits rise and errors fall along it. Between two files the line is what is reached by taking the
    one for a share of the images and the other for the rest, so that also SSIM, a mean over images,
    follows a straight line. To the right of the last, more bits buy nothing.
    """

    points: tuple[Point, ...]

    @classmethod
    def of(cls, points: Iterable[Point]) -> Curve:
        """That of any points, at least one."""
        hull: list[Point] = []
        for point in sorted(points, key=lambda one: (one.bits, one.mse)):
            if hull and point.mse >= min(one.mse for one in hull):
                continue
            while len(hull) > 1 and not _bends(hull[-2], hull[-1], point):
                hull.pop()
            hull.append(point)
        return cls(tuple(hull))

    @property
    def bits(self) -> Array:
        """A pixel, of each file."""
        return np.array([point.bits for point in self.points])

    def psnr_at(self, bits: Array) -> Array:
        """The best PSNR in dB with at most so many bits a pixel; NaN where no file has so few."""
        return -10 * np.log10(self._at(bits, [point.mse for point in self.points]))

    def ssim_at(self, bits: Array) -> Array:
        """The SSIM of the same files."""
        return self._at(bits, [point.ssim for point in self.points])

    def bits_at(self, psnr: Array) -> Array:
        """The fewest bits a pixel for a PSNR in dB; NaN beyond the best and below the worst."""
        errors = [point.mse for point in reversed(self.points)]
        found = np.interp(10 ** (-psnr / 10), errors, self.bits[::-1], np.nan, np.nan)
        return np.asarray(found)

    def _at(self, bits: Array, values: Sequence[float]) -> Array:
        return np.asarray(np.interp(bits, self.bits, values, left=np.nan))


def rates_between(low: float, high: float, steps: int = STEPS) -> Array:
    """Bits a pixel from low to high, evenly spaced by their logarithm."""
    return np.asarray(np.geomspace(low, high, steps))


def common_rates(curves: Sequence[Curve]) -> tuple[float, float]:
    """From the fewest bits that every curve has a file for, to where half of the curves end.

    The others are continued at their best: whoever has more bits need not spend them.
    """
    low = max(float(curve.bits[0]) for curve in curves)
    return low, max(low, float(np.median([curve.bits[-1] for curve in curves])))


def gain(curve: Curve, other: Curve) -> tuple[float, float]:
    """How much better a curve is than another: dB at equal bits, share of bits at equal PSNR.

    BD-PSNR and BD-rate: the mean difference of PSNR over the logarithm of bits, and that of the
    logarithm of bits over PSNR, where both curves have files (Bjøntegaard 2001, Calculation of
    average PSNR differences between RD-curves, ITU-T VCEG-M33), here between the files by the
    hull's lines in place of a cubic. -0.3: 30 % fewer bits. NaN where they have nothing in common.
    """
    low = max(curve.bits[0], other.bits[0])
    high = min(curve.bits[-1], other.bits[-1])
    decibels = np.nan
    if low < high:
        rates = rates_between(low, high)
        decibels = float(np.mean(curve.psnr_at(rates) - other.psnr_at(rates)))
    worst = max(curve.points[0].psnr, other.points[0].psnr)
    best = min(curve.points[-1].psnr, other.points[-1].psnr)
    if not worst < best:
        return decibels, np.nan
    levels = np.linspace(worst, best, STEPS)[1:-1]  # the ends are files: rounding may miss them
    ratio = np.log(curve.bits_at(levels)) - np.log(other.bits_at(levels))
    return decibels, float(np.expm1(ratio.mean()))


def _bends(first: Point, middle: Point, last: Point) -> bool:
    """Whether the middle lies below the line from the first to the last."""
    slope = (last.mse - first.mse) / (last.bits - first.bits)
    return middle.mse < first.mse + slope * (middle.bits - first.bits)
