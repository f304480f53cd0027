"""The rest that turns rounded reconstructions into the 8-bit pixels themselves.

Each pixel is coded by a table that the reconstruction chooses: by its value there and by how much
it varies around, which the reader knows before it reads. The reconstruction must be the same to the
last bit of every pixel when it is read: it is computed in float64, where machines differ by some
1e-15, and a hash of the pixels tells when that was not enough.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from activae.errors import DataError
from activae.use.compression.coder import BLOCK, Decoder, Table, encode
from activae.use.compression.container import PIXELS, Residual
from activae.use.compression.octaves import Ints

Pixels = NDArray[np.uint8]

VALUES = 16  # ranges of a reconstructed pixel's value
RESTLESS = (4, 24)  # grey levels between the extremes of its 3 x 3 neighbours: where ranges end
CONTEXTS = (1, VALUES, VALUES * (len(RESTLESS) + 1))  # choices, coarse to fine


def residual(pixels: Pixels, predicted: Pixels) -> Residual:
    """What is left of pixels [N, C, H, W] beside their reconstructions, in the cheapest form."""
    _, subtracts, tables = _cheapest(pixels, predicted)
    columns = [
        (tables[context], symbols[places == context].astype(np.int32))
        for symbols, places in _blocks(pixels, predicted, len(tables), subtracts)
        for context in range(len(tables))
    ]
    return Residual(digest(pixels), subtracts, tables, encode(columns))


def residual_bits(pixels: Pixels, predicted: Pixels) -> float:
    """About what `residual` would take."""
    return _cheapest(pixels, predicted)[0]


def restored(rest: Residual, predicted: Pixels, what: str) -> Pixels:
    """The pixels [N, C, H, W]; `what` is the file, for messages.

    Raises DataError where they are not those that were compressed, because the reconstructions
    are not those of the machine that did.
    """
    decoder = Decoder(rest.words, what)
    pixels = np.empty_like(predicted)
    for first in range(0, len(predicted), BLOCK):
        block = predicted[first : first + BLOCK]
        places = contexts_of(block, len(rest.tables))
        symbols = np.empty(block.shape, np.uint8)
        for context, table in enumerate(rest.tables):
            here = places == context
            symbols[here] = decoder.column(table, int(here.sum()))
        pixels[first : first + BLOCK] = symbols + block if rest.subtracts else symbols
    if digest(pixels) != rest.digest:
        raise DataError(
            f"{what}: cannot be restored without loss here: this machine's reconstruction differs "
            "from that of the machine that compressed it in some last digits, enough to round a "
            "pixel otherwise; decompress it with the version of torch that compressed it, or take "
            "the reconstruction alone: --lossy"
        )
    return pixels


def digest(pixels: Pixels) -> bytes:
    """16 bytes that tell pixels from others."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()


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


def _blocks(
    pixels: Pixels, predicted: Pixels, contexts: int, subtracts: bool
) -> Iterator[tuple[Pixels, NDArray[np.uint8]]]:
    for first in range(0, len(pixels), BLOCK):
        rows = slice(first, first + BLOCK)
        symbols = pixels[rows] - predicted[rows] if subtracts else pixels[rows]
        yield symbols, contexts_of(predicted[rows], contexts)


def _cheapest(pixels: Pixels, predicted: Pixels) -> tuple[float, bool, list[Table]]:
    """Bits, whether symbols are differences, and the tables, of the best choice."""
    choices = []
    for subtracts in (False, True):
        counts = np.zeros((CONTEXTS[-1], PIXELS), np.int64)
        for symbols, places in _blocks(pixels, predicted, CONTEXTS[-1], subtracts):
            both = places.astype(np.int64) * PIXELS + symbols
            counts += np.bincount(both.ravel(), minlength=counts.size).reshape(counts.shape)
        by_span = counts.reshape(-1, VALUES, PIXELS)
        for found in (counts.sum(0, keepdims=True), by_span.sum(0), counts):
            choices.append(_priced(found, subtracts))
    return min(choices, key=lambda choice: choice[0])


def _priced(counts: Ints, subtracts: bool) -> tuple[float, bool, list[Table]]:
    tables = [Table.explicit(row) for row in counts]
    packed = zlib.compress(b"".join(table.levels or b"" for table in tables), 9)
    code = sum(table.bits(row) - 8 * len(table) for table, row in zip(tables, counts, strict=True))
    return code + 8 * len(packed), subtracts, tables
