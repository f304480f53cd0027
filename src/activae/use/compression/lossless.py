"""The rest that turns rounded reconstructions into the 8-bit pixels themselves.

Each pixel is coded by a table that the reconstruction chooses: by its value there and by how much
it varies around, which the reader knows before it reads. The reconstruction must be the same to the
last bit of every pixel when it is read: it is computed in float64, where machines differ by some
1e-15, and a hash of the pixels tells when that was not enough.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from activae.errors import DataError
from activae.use.compression.coder import BLOCK, Decoder, Table, encode
from activae.use.compression.container import PIXELS, Residual
from activae.use.compression.octaves import Ints
from activae.use.compression.quantiser import Symbols
from activae.use.compression.rows import Rows

Pixels = NDArray[np.uint8]

VALUES = 16  # ranges of a reconstructed pixel's value
RESTLESS = (4, 24)  # grey levels between the extremes of its 3 x 3 neighbours: where ranges end
DIGEST_BYTES = 16
CONTEXTS = (1, VALUES, VALUES * (len(RESTLESS) + 1))  # choices, coarse to fine


def residual(pixels: Rows, predicted: Rows) -> Residual:
    """What is left of pixels [N, C, H, W] beside their reconstructions, in the cheapest form.

    Both are read twice, BLOCK rows at a time.
    """
    known = hashlib.blake2b(digest_size=DIGEST_BYTES)
    _, subtracts, tables = _cheapest(pixels, predicted, known.update)

    def columns() -> Iterator[tuple[Table, Symbols]]:
        for actual, guess in _blocks(pixels, predicted):
            places = contexts_of(guess, len(tables))
            symbols = actual - guess if subtracts else actual
            for context, table in enumerate(tables):
                yield table, symbols[places == context].astype(np.int32)

    return Residual(known.digest(), subtracts, tables, encode(columns()))


def residual_bits(pixels: Rows, predicted: Rows) -> float:
    """About what `residual` would take."""
    return _cheapest(pixels, predicted)[0]


def restored(rest: Residual, predicted: Rows, what: str) -> Iterator[Pixels]:
    """The pixels, in blocks [n, C, H, W]; `what` is the file, for messages.

    Raises DataError after the last block where they are not those that were compressed, because the
    reconstructions are not those of the machine that did: until then they may be wrong.
    """
    decoder = Decoder(rest.words, what)
    found = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for first in range(0, len(predicted), BLOCK):
        block = predicted[first : first + BLOCK]
        places = contexts_of(block, len(rest.tables))
        symbols = np.empty(block.shape, np.uint8)
        for context, table in enumerate(rest.tables):
            here = places == context
            symbols[here] = decoder.column(table, int(here.sum()))
        pixels = symbols + block if rest.subtracts else symbols
        found.update(pixels.tobytes())
        yield pixels
    if found.digest() != rest.digest:
        raise DataError(
            f"{what}: cannot be restored without loss here: this machine's reconstruction differs "
            "from that of the machine that compressed it in some last digits, enough to round a "
            "pixel otherwise; decompress it with the version of torch that compressed it, or take "
            "the reconstruction alone: --lossy"
        )


def contexts_of(predicted: Pixels, contexts: int) -> NDArray[np.uint8]:
    """Which of the tables each pixel of reconstructions [n, C, H, W] chooses."""
    places = np.zeros(predicted.shape, np.uint8)
    if contexts >= VALUES:
        places += predicted // (PIXELS // VALUES)
    if contexts > VALUES:
        span = _span_around(predicted)
        for bound in RESTLESS:
            places += np.where(span >= bound, VALUES, 0).astype(np.uint8)
    return places


def _span_around(images: Pixels) -> Pixels:
    """Largest minus smallest value of the 3 x 3 pixels around each, within the image."""
    high, low = images, images
    for axis in (-2, -1):
        high, low = _widened(high, np.maximum, axis), _widened(low, np.minimum, axis)
    return high - low


def _widened(images: Pixels, extreme: np.ufunc, axis: int) -> Pixels:
    size = images.shape[axis]
    out = images.copy()
    for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        if size > 1:
            mine, others = [slice(None)] * images.ndim, [slice(None)] * images.ndim
            mine[axis], others[axis] = here, there
            out[tuple(mine)] = extreme(out[tuple(mine)], images[tuple(others)])
    return out


def _blocks(pixels: Rows, predicted: Rows) -> Iterator[tuple[Pixels, Pixels]]:
    for first in range(0, len(pixels), BLOCK):
        rows = slice(first, first + BLOCK)
        yield pixels[rows], predicted[rows]


def _cheapest(
    pixels: Rows, predicted: Rows, note: Callable[[bytes], object] = lambda content: None
) -> tuple[float, bool, list[Table]]:
    """Bits, whether symbols are differences, and the tables, of the best choice.

    note: is called with the bytes of all pixels, block by block.
    """
    both_counts = np.zeros((2, CONTEXTS[-1], PIXELS), np.int64)
    for actual, guess in _blocks(pixels, predicted):
        note(actual.tobytes())
        places = contexts_of(guess, CONTEXTS[-1]).astype(np.int64) * PIXELS
        for counts, symbols in zip(both_counts, (actual, actual - guess), strict=True):
            found = np.bincount((places + symbols).ravel(), minlength=counts.size)
            counts += found.reshape(counts.shape)
    choices = []
    for subtracts, counts in zip((False, True), both_counts, strict=True):
        by_span = counts.reshape(-1, VALUES, PIXELS)
        for some in (counts.sum(0, keepdims=True), by_span.sum(0), counts):
            choices.append(_priced(some, subtracts))
    return min(choices, key=lambda choice: choice[0])


def _priced(counts: Ints, subtracts: bool) -> tuple[float, bool, list[Table]]:
    tables = [Table.explicit(row) for row in counts]
    packed = zlib.compress(b"".join(table.levels or b"" for table in tables), 9)
    code = sum(table.bits(row) - 8 * len(table) for table, row in zip(tables, counts, strict=True))
    return code + 8 * len(packed), subtracts, tables
