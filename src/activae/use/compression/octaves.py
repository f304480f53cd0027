"""Powers of 2 in eighths of an octave, as integers: the same on every machine, as `pow` is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EIGHTHS = 8  # of an octave: 9 % from one to the next
BITS = 23
# round(2**(23 + j / 8)) for j = 0..7: what a float32 holds.
_MANTISSAS = np.array(
    [8388608, 9147842, 9975792, 10878679, 11863283, 12937002, 14107901, 15384775], dtype=np.int64
)


def power(eighths: Ints) -> Floats:
    """2^(eighths / 8), each a float32 that is exact in the float64 returned."""
    return np.ldexp(_MANTISSAS[eighths % EIGHTHS].astype(np.float64), eighths // EIGHTHS - BITS)


def whole_power(eighths: Ints) -> Ints:
    """The integer part of 2^(eighths / 8), at least 1; eighths / 8 < 24."""
    shift = np.clip(BITS - eighths // EIGHTHS, 0, 62)
    return np.maximum(_MANTISSAS[eighths % EIGHTHS] >> shift, 1)


def nearest(value: Floats) -> Ints:
    """The exponent whose power lies nearest to a positive value, in eighths."""
    return np.rint(EIGHTHS * np.log2(value)).astype(np.int64)
