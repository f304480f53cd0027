"""Which step each dimension of the code gets: the same return, in error, for every bit spent.

Quantising dimension d in steps s_d adds w_d s_d^2 / 12 to the squared error of the reconstruction,
where the sensitivity w_d is that of the decoder, and takes about h(z_d) - log2 s_d bits (Gish &
Pierce 1968, Asymptotically efficient quantizing). The least error for a number of bits has equal
slopes, -dD_d/dR_d = lambda for all d (Shoham & Gersho 1988, Efficient bit allocation for an
arbitrary set of quantizers): at high rates s_d = sqrt(6 lambda / (w_d ln 2)), and a dimension that
is not worth its bits becomes a constant: reverse water-filling (Cover & Thomas, Elements of
Information Theory, theorem 10.3.3). Here the slopes are not those of the formulas but measured:
for each dimension and some 60 steps, the error and the bits of the codes at hand, those of the
table in the file included, so that few samples get a short header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from activae.use.compression.coder import Table
from activae.use.compression.octaves import EIGHTHS, Floats, Ints, nearest
from activae.use.compression.quantiser import EXTREME, Codes, Quantiser, Symbols

# Codes [n, D] to reconstructions [n, ...]; what is measured there is a squared error.
Decode = Callable[[Codes], np.ndarray]

PROBED = 256  # samples that the sensitivity is measured on
STUDIED = 4096  # samples that curves are measured on
SPACING = 2  # eighths of an octave from one step to the next
FINEST = 9  # octaves below a dimension's standard deviation
SHIFT = 0.25  # of the standard deviation, by which a code is moved to see what that does


@dataclass(frozen=True)
class Curves:
    """What each of K steps of each of D dimensions would mean for all N samples.

    exponents, errors, bits: [D, K]; errors are squared and summed over samples, bits are those of
    the symbols and of the table.
    """

    exponents: Ints
    errors: Floats
    bits: Floats

    def exponents_at(self, slope: float) -> Ints:
        """The exponents [D] with the least error + slope * bits."""
        return np.take_along_axis(self.exponents, self._best(slope), 1)[:, 0]

    def bits_at(self, slope: float) -> float:
        """The bits of all dimensions together with these steps."""
        return float(np.take_along_axis(self.bits, self._best(slope), 1).sum())

    def slopes(self) -> tuple[float, float]:
        """One at which error alone counts, and one at which bits alone do."""
        spread = float(self.errors.max()) or 1.0
        return spread * 2.0**-60, spread * 2.0**20

    def _best(self, slope: float) -> Ints:
        return np.argmin(self.errors + slope * self.bits, axis=1)[:, None]


def scales(codes: Codes) -> Floats:
    """How far each dimension [D] of codes [N, D] varies; some positive number where it does not."""
    deviations = codes.std(0, dtype=np.float64)
    means = np.abs(codes.mean(0, dtype=np.float64))
    found = np.where(deviations > 1e-6 * means, deviations, means / 16)
    return np.where(found > 0, found, found.max() or 1.0)


def sensitivities(codes: Codes, decode: Decode) -> Floats:
    """Mean squared change of a whole reconstruction by a unit's change of each dimension: [D].

    Differences over a quarter of the standard deviation to both sides, about what a quantiser
    does: a derivative would be blind to steps and kinks.
    """
    probes = spread_rows(codes, PROBED)
    found = np.empty(codes.shape[1])
    for d, shift in enumerate(SHIFT * scales(codes)):
        above, below = probes.copy(), probes.copy()
        above[:, d] += shift
        below[:, d] -= shift
        change = (decode(above) - decode(below)).reshape(len(probes), -1).astype(np.float64)
        found[d] = (change**2).sum(1).mean() / (2 * shift) ** 2
    return found


def measure(codes: Codes, decode: Decode) -> Curves:
    """The curves of codes [N, D]."""
    weights = sensitivities(codes, decode)
    studied = spread_rows(codes, STUDIED)
    share = len(codes) / len(studied)
    columns = zip(studied.T, weights, scales(codes), strict=True)
    curves = [_curve(column[:, None], weight, scale, share) for column, weight, scale in columns]
    exponents, errors, bits = (np.stack(parts) for parts in zip(*curves, strict=True))
    return Curves(exponents, errors, bits)


def _curve(column: Codes, weight: float, scale: float, share: float) -> tuple[Ints, Floats, Floats]:
    """Exponents, errors and bits [K] of one dimension [n, 1], for n * share samples."""
    reach = max(float(np.ptp(column.astype(np.float64))) * 2, 16 * scale)
    top = int(np.clip(nearest(np.array(reach)), -EXTREME, EXTREME))
    count = (FINEST + 6) * EIGHTHS // SPACING
    exponents = np.maximum(top - SPACING * np.arange(count, dtype=np.int64), -EXTREME)
    errors, bits = np.empty(count), np.empty(count)
    for k, exponent in enumerate(exponents):
        quantiser = Quantiser.covering(column, exponent[None])
        if quantiser.exponents[0] != exponent:  # it would take too many symbols
            exponents[k:] = exponents[k - 1]
            errors[k:], bits[k:] = errors[k - 1], bits[k - 1]
            break
        symbols = quantiser.symbols(column)
        lost = (quantiser.values(symbols) - column).astype(np.float64)
        counts = np.bincount(symbols[:, 0], minlength=int(quantiser.sizes[0]))
        table = Table.fitted(counts)
        errors[k] = share * weight * float((lost**2).sum())
        bits[k] = (
            share * (table.bits(counts) - 8 * len(table)) + 8 * len(table) + _entry_bits(quantiser)
        )
    return exponents, errors, bits


def _entry_bits(quantiser: Quantiser) -> int:
    """What exponent, origin and size of a single dimension take in a file, about."""
    origin, size = abs(int(quantiser.origins[0])) * 2, int(quantiser.sizes[0]) * 2
    return 8 * (1 + -(-origin.bit_length() // 7) + -(-size.bit_length() // 7))


def tables(symbols: Symbols, quantiser: Quantiser) -> list[Table]:
    """The table of each dimension of symbols [N, D]."""
    return [
        Table.fitted(np.bincount(column, minlength=int(size)))
        for column, size in zip(symbols.T, quantiser.sizes, strict=True)
    ]


def spread_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the rows, evenly spread over them."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]
