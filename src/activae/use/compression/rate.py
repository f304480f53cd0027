"""From codes and a target to an archive: so many bits, or so little error, at the most."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from activae.errors import UserError
from activae.use.compression.allocation import Curves, Decode, measure, spread_rows, tables
from activae.use.compression.coder import encode_rows
from activae.use.compression.container import Archive, to_bytes
from activae.use.compression.quantiser import Codes, Quantiser
from activae.use.compression.rows import Rows, blocks

JUDGED = 1024  # samples on which a PSNR is measured while steps are chosen
MORE_ERROR = 1.1  # times the run's own: what quantising adds where nothing is asked for
EXACT = 100.0  # dB; a reconstruction without any error counts as having this
HALVINGS = 18  # of the range of slopes, which is 80 octaves: to a thousandth of one
CORRECTIONS = 8


@dataclass(frozen=True, eq=False)
class Coding:
    """Codes to be stored, and what their error is measured by.

    codes: [N, D]; originals: [N, ...], on the scale on which errors count, read block by block;
    decode: codes [n, D] to that scale; span: the range of values, for the PSNR; shape: of a sample;
    decoder: the hash of what decodes.
    """

    codes: Codes
    originals: Rows
    decode: Decode
    span: float
    shape: tuple[int, ...]
    decoder: bytes

    @cached_property
    def curves(self) -> Curves:
        """Error and bits of each step of each dimension."""
        return measure(self.codes, self.decode)

    @cached_property
    def own_psnr(self) -> float:
        """In dB, with the codes kept exactly."""
        return self._psnr(self.codes, self.originals)

    def archive(self, slope: float) -> Archive:
        """That whose every last bit is worth `slope` of squared error."""
        quantiser = self.quantiser(slope)
        symbols = quantiser.symbols(self.codes)
        known = tables(symbols, quantiser)
        words = encode_rows(symbols, known)
        return Archive(self.decoder, self.shape, len(self.codes), quantiser, known, words)

    def quantiser(self, slope: float) -> Quantiser:
        """That of such an archive."""
        return Quantiser.covering(self.codes, self.curves.exponents_at(slope))

    def psnr(self, quantiser: Quantiser) -> float:
        """In dB, of all samples; the mean error is that over samples."""
        return self._psnr(quantiser.values(quantiser.symbols(self.codes)), self.originals)

    def for_psnr(self, least: float) -> Archive:
        """The smallest archive with that PSNR. Raises UserError where no steps are fine enough."""
        aim = least
        for _ in range(CORRECTIONS):
            slope = self._largest_slope(aim)
            if slope is None:
                break
            reached = self.psnr(self.quantiser(slope))
            if reached >= least:
                return self.archive(slope)
            aim += least - reached + 1e-3
        raise UserError(
            f"psnr={least:g}: is beyond this run, which reaches {self.own_psnr:.2f} dB on this "
            "input with its codes kept exactly; ask for less, leave it out, or, for images of 8 "
            "bits, ask for lossless"
        )

    def for_bits(self, most: float) -> Archive:
        """The archive of least error with so many bits a sample, all of the file counted.

        Raises UserError where even constants take more.
        """
        count = len(self.codes)
        aim = most * count
        for _ in range(CORRECTIONS):
            slope = self._slope_of(aim)
            archive = self.archive(slope)
            bits = 8 * len(to_bytes(archive))
            if bits <= most * count:
                return archive
            aim -= bits - most * count
        least = 8 * len(to_bytes(self.archive(self.curves.slopes()[1]))) / count
        raise UserError(
            f"bits={most:g}: is too few: {count} samples of this run take {least:.4g} bits each at "
            "the least; ask for more, or compress more samples together"
        )

    def by_default(self) -> Archive:
        """That with 10 % more squared error than the run itself makes."""
        return self.for_psnr(min(self.own_psnr, EXACT) - 10 * math.log10(MORE_ERROR))

    def _largest_slope(self, least: float) -> float | None:
        """The one that leaves that PSNR, judged by some samples; None where none does."""
        codes, originals = self._judged

        def is_good(slope: float) -> bool:
            quantiser = self.quantiser(slope)
            return self._psnr(quantiser.values(quantiser.symbols(codes)), originals) >= least

        low, high = self.curves.slopes()
        if is_good(high):
            return high
        return _bisect(is_good, low, high, last=True) if is_good(low) else None

    def _slope_of(self, bits: float) -> float:
        return _bisect(lambda slope: self.curves.bits_at(slope) > bits, *self.curves.slopes())

    @cached_property
    def _judged(self) -> tuple[Codes, np.ndarray]:
        numbers = spread_rows(np.arange(len(self.codes)), JUDGED)
        return self.codes[numbers], self.originals[numbers]

    def _psnr(self, codes: Codes, originals: Rows) -> float:
        total, values = 0.0, prod(self.shape)
        for rows in blocks(len(codes), values):
            lost = self.decode(codes[rows]).astype(np.float64) - originals[rows]
            total += float((lost**2).sum())
        return psnr(total / (len(codes) * values), self.span)


def psnr(mse: float, span: float) -> float:
    """10 log10(span^2 / MSE) in dB; infinite where the MSE is 0."""
    return 20 * math.log10(span) - 10 * math.log10(mse) if mse else math.inf


def _bisect(
    holds: Callable[[float], bool], low: float, high: float, *, last: bool = False
) -> float:
    """About where a condition that holds at `low` ceases to; `last`: where it still holds."""
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low if last else high
