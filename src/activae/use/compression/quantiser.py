"""Codes to integers and back: a uniform quantiser with a step of its own for each dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activae.use.compression.octaves import EIGHTHS, Ints, power

Codes = NDArray[np.float32]
Symbols = NDArray[np.int32]

MOST_SYMBOLS = 1 << 16  # of a dimension
EXTREME = 8 * 100  # eighths of an octave: steps from 2^-100 to 2^100
ROWS = 4096  # at a time, where float64 copies are made


@dataclass(frozen=True)
class Quantiser:
    """Three integers for each of D dimensions: what a file holds, and all that decoding needs.

    exponents [D]: the step is 2^(exponent / 8).
    origins [D]: the value of symbol 0, in eighths of a step.
    sizes [D]: how many symbols there are; a dimension with 1 is a constant and costs no bits.

    A value is (origin / 8 + symbol) step: integers times a float32, rounded once, so that machines
    agree on it. The origin puts the middle of a cell on the dimension's mean, which is the best
    value where a single symbol is left.
    """

    exponents: Ints
    origins: Ints
    sizes: Ints

    @classmethod
    def covering(cls, codes: Codes, exponents: Ints) -> Quantiser:
        """That of codes [N, D] with the steps given; widened where there were too many symbols."""
        low, high = (codes.min(0).astype(np.float64), codes.max(0).astype(np.float64))
        mean = codes.mean(0, dtype=np.float64)
        exponents = exponents.copy()
        while True:
            steps = power(exponents)
            phases = np.rint(EIGHTHS * mean / steps)
            first = np.floor(low / steps - phases / EIGHTHS + 0.5)
            sizes = np.floor(high / steps - phases / EIGHTHS + 0.5) - first + 1
            wide = (sizes > MOST_SYMBOLS) | (np.abs(phases) > 2.0**40)
            if not wide.any():
                break
            exponents[wide] += EIGHTHS
        origins = (phases + EIGHTHS * first).astype(np.int64)
        return cls(exponents, origins, sizes.astype(np.int64))

    def symbols(self, codes: Codes) -> Symbols:
        """The nearest symbol [N, D] of each code; one beyond the last of its side is that one."""
        steps = power(self.exponents)
        found = np.empty(codes.shape, np.int32)
        for first in range(0, len(codes), ROWS):
            rows = slice(first, first + ROWS)
            places = codes[rows] / steps - self.origins / EIGHTHS + 0.5
            found[rows] = np.clip(np.floor(places), 0, self.sizes - 1)
        return found

    def values(self, symbols: Symbols) -> Codes:
        """The codes [N, D] that symbols stand for."""
        return self.value_of(EIGHTHS * symbols.astype(np.int64) + self.origins)

    def value_of(self, eighths: Ints) -> Codes:
        """The codes [N, D] that lie so many eighths of a step from 0."""
        return (eighths * (power(self.exponents) / EIGHTHS)).astype(np.float32)
