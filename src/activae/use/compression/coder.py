"""Symbols to 32-bit words and back by range coding, with tables of integers that a file can hold.

The coder is constriction's (Bamler 2022, Understanding entropy coding with asymmetric numeral
systems; range coding: Martin 1979). It takes tables as float64: ours hold integers whose sums are
exact there, so that every machine derives the same intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.errors import DataError, UserError
from activae.use.compression.octaves import EIGHTHS, Ints, whole_power
from activae.use.compression.quantiser import Symbols

Words = NDArray[np.uint32]

BLOCK = 4096  # samples; within a block all of one dimension come together, as one call codes them
NEVER = 255  # the level of a symbol that does not occur
_TOP = 8 * 23  # eighths of an octave: the weight of level 0
_BELL_UNIT = 1 << 16
SHARPEST = 1 << 24  # no bell's sharpness exceeds it, so that its product with 2^34 fits an int64
_GAUSS = EIGHTHS / (8 * math.log(2))  # level of (2s - 2c)^2 / variance; see Table.bell


@dataclass(frozen=True)
class Table:
    """How often each of `size` symbols comes, as weights of which a symbol's share is its odds.

    A weight is 2^(23 - level / 8), at least 1, and levels are whole numbers: either one byte for
    each symbol (`levels`), or those of a bell (`bell`: centre in half symbols, sharpness), a normal
    distribution's, which costs some bytes whatever the size.
    """

    size: int
    levels: bytes | None = None
    bell: tuple[int, int] | None = None

    @classmethod
    def fitted(cls, counts: Ints) -> Table:
        """The cheaper of the two for symbols that come so often, its own bytes included."""
        size = len(counts)
        if size == 1:
            return cls(1)
        choices = [cls.explicit(counts), cls(size, bell=_bell(counts))]
        return min(choices, key=lambda table: table.bits(counts))

    @classmethod
    def explicit(cls, counts: Ints) -> Table:
        """That with a level for each symbol."""
        return cls(len(counts), levels=_levels(counts))

    def weights(self) -> Ints:
        """The weight of each symbol [size]: whole numbers from 1 to 2^23."""
        if self.levels is not None:
            levels = np.frombuffer(self.levels, np.uint8).astype(np.int64)
        elif self.bell is not None:
            centre, sharpness = self.bell
            squares = (2 * np.arange(self.size, dtype=np.int64) - centre) ** 2
            levels = squares * sharpness // _BELL_UNIT
        else:
            levels = np.zeros(self.size, dtype=np.int64)
        return whole_power(_TOP - levels)

    def bits(self, counts: Ints) -> float:
        """What symbols that come so often cost, and the table beside them."""
        weights, some = self.weights(), counts > 0
        code = counts.sum() * math.log2(weights.sum()) - counts[some] @ np.log2(weights[some])
        return float(code) + 8 * len(self)

    def __len__(self) -> int:
        """Bytes in a file, about."""
        return len(self.levels) if self.levels is not None else 5 if self.bell else 0

    def model(self) -> Any:
        """constriction's model of it."""
        return _stream().model.Categorical(self.weights().astype(np.float64), perfect=False)


def _levels(counts: Ints) -> bytes:
    some = counts > 0
    levels = EIGHTHS * np.log2(max(counts.max(), 1) / np.maximum(counts, 1))
    capped = np.minimum(np.rint(np.maximum(levels, 0)), NEVER - 1)
    return np.where(some, capped, NEVER).astype(np.uint8).tobytes()


def _bell(counts: Ints) -> tuple[int, int]:
    symbols = np.arange(len(counts))
    mean = float(counts @ symbols) / counts.sum()
    # A cell is 1 wide: a twelfth of variance that the symbols do not show.
    variance = float(counts @ (symbols - mean) ** 2) / counts.sum() + 1 / 12
    sharpness = round(_BELL_UNIT * _GAUSS / variance)
    return round(2 * mean), max(sharpness, 1)


def encode(columns: Iterable[tuple[Table, Symbols]]) -> Words:
    """The words of columns of symbols, one after the other, each by its own table."""
    encoder = _stream().queue.RangeEncoder()
    models: dict[int, tuple[Table, Any]] = {}
    for table, symbols in columns:
        if table.size > 1:
            if id(table) not in models:
                models[id(table)] = (table, table.model())
            encoder.encode(np.ascontiguousarray(symbols), models[id(table)][1])
    words: Words = encoder.get_compressed()
    return words


class Decoder:
    """Reads columns of symbols from words, in the order in which `encode` was given them."""

    def __init__(self, words: Words, what: str) -> None:
        self._decoder = _stream().queue.RangeDecoder(words)
        self._models: dict[int, tuple[Table, Any]] = {}
        self._what = what

    def column(self, table: Table, count: int) -> Symbols:
        """The next `count` symbols [count]. Raises DataError where the words are no such ones."""
        if table.size == 1:
            return np.zeros(count, np.int32)
        _, model = self._models.setdefault(id(table), (table, table.model()))
        try:
            symbols: Symbols = self._decoder.decode(model, count)
        except AssertionError:  # constriction's word for it
            raise DataError(f"{self._what}: is malformed: its words cannot be decoded") from None
        return symbols

    def finish(self) -> None:
        """Raise DataError if there is more in the words than was read."""
        if not self._decoder.maybe_exhausted():
            raise DataError(f"{self._what}: is malformed: more follows after its last sample")


def encode_rows(symbols: Symbols, tables: Sequence[Table]) -> Words:
    """The words of symbols [N, D], with a table for each dimension."""
    blocks = (symbols[first : first + BLOCK] for first in range(0, len(symbols), BLOCK))
    return encode((table, block[:, d]) for block in blocks for d, table in enumerate(tables))


def decode_rows(words: Words, tables: Sequence[Table], count: int, what: str) -> Iterator[Symbols]:
    """The symbols of `count` samples, in blocks [n, D]; `what` is the file, for messages."""
    decoder = Decoder(words, what)
    for first in range(0, count, BLOCK):
        rows = min(BLOCK, count - first)
        yield np.stack([decoder.column(table, rows) for table in tables], axis=1)
    decoder.finish()


def _stream() -> Any:
    try:
        from constriction import stream
    except ImportError:
        raise UserError(
            "compression needs constriction 0.5 or newer: pip install 'activae[compress]'"
        ) from None
    return stream
