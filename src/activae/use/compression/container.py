"""The .aez format: an archive as bytes and back; docs/compression.md describes it byte by byte.

Everything in a file that comes from elsewhere is checked before it is used, and a checksum over all
of it before that: the range coder itself would decode damaged words to other symbols in silence.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from math import prod

import numpy as np

from activae.errors import DataError
from activae.training.restoring import HASH_BYTES
from activae.use.compression.coder import SHARPEST, Table, Words
from activae.use.compression.octaves import EIGHTHS
from activae.use.compression.quantiser import EXTREME, MOST_SYMBOLS, Quantiser

MAGIC = b"\x89AEZ\r\n\x1a\n"  # as PNG's: what changes line ends or drops a bit is found out
VERSION = 1
_WORD = np.dtype("<u4")
_START = len(MAGIC) + 2 + 2 + HASH_BYTES
_LOSSLESS = 1
PIXELS = 256  # values of one
_MOST = 1 << 40  # samples, and values of one


@dataclass(frozen=True)
class Residual:
    """What turns rounded reconstructions into the pixels themselves; see `lossless`.

    digest: 16 bytes, of the pixels; subtracts: whether symbols are differences to the
    reconstruction; tables: one for each context.
    """

    digest: bytes
    subtracts: bool
    tables: list[Table]
    words: Words


@dataclass(frozen=True)
class Archive:
    """What a file holds: `count` samples of a shape, as symbols of a quantiser's in words."""

    decoder: bytes
    shape: tuple[int, ...]
    count: int
    quantiser: Quantiser
    tables: list[Table]
    words: Words
    residual: Residual | None = None


def to_bytes(archive: Archive) -> bytes:
    """The file."""
    flags = _LOSSLESS if archive.residual else 0
    out = bytearray(MAGIC)
    out += VERSION.to_bytes(2, "little") + flags.to_bytes(2, "little") + archive.decoder
    for number in (archive.count, len(archive.shape), *archive.shape, len(archive.tables)):
        out += _varint(number)
    before = 0
    quantiser = archive.quantiser
    for exponent, origin, table in zip(
        quantiser.exponents.tolist(), quantiser.origins.tolist(), archive.tables, strict=True
    ):
        out += _varint(_zigzag(exponent - before)) + _varint(_zigzag(origin))
        out += _varint(2 * table.size + (table.bell is not None))
        out += table.levels or b"".join(map(_varint, table.bell or ()))
        before = exponent
    out += _words(archive.words)
    if archive.residual:
        out += _residual(archive.residual)
    return bytes(out) + _checksum(out)


def from_bytes(content: bytes, what: str) -> Archive:
    """The archive of a file's content; `what` is the file, for messages.

    Raises DataError for a file of another kind or of a newer version, one that is damaged, and one
    whose checksum is right and whose content cannot be.
    """
    if not content.startswith(MAGIC):
        # Cut within the first bytes, or in one of them another.
        raise DataError(f"{what}: is not an .aez file, or its beginning is damaged")
    version = int.from_bytes(content[8:10], "little")
    if len(content) < _START + HASH_BYTES:
        raise DataError(f"{what}: is damaged: it ends within its header")
    if version > VERSION:
        raise DataError(
            f"{what}: is in version {version} of the format, and this program knows {VERSION}: "
            "update activae (if the file is damaged, get it again)"
        )
    if _checksum(content[:-HASH_BYTES]) != content[-HASH_BYTES:]:
        raise DataError(
            f"{what}: is damaged: its checksum does not fit its content; it was cut short or "
            "altered: get it again"
        )
    try:
        return _parsed(content[:-HASH_BYTES])
    except _Malformed as error:
        raise DataError(
            f"{what}: is malformed, though its checksum is right: {error}; whatever wrote it was "
            "not activae"
        ) from None


class _Malformed(Exception):
    pass


class _Reader:
    """Takes parts from the front of the content, and never one that it has not."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def take(self, count: int) -> bytes:
        if count > len(self.content) - self.place:
            raise _Malformed(f"{count} bytes should follow byte {self.place}")
        self.place += count
        return self.content[self.place - count : self.place]

    def number(self, name: str, least: int, most: int) -> int:
        """A varint within the bounds."""
        value, shift = 0, 0
        while shift < 63:
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if not least <= value <= most:
            raise _Malformed(f"{name} is {value}, and should be from {least} to {most}")
        return value

    def words(self) -> Words:
        count = self.number("the number of words", 0, len(self.content) // 4)
        return np.frombuffer(self.take(4 * count), _WORD).astype(np.uint32)


def _parsed(content: bytes) -> Archive:
    reader = _Reader(content)
    reader.take(len(MAGIC))
    version = int.from_bytes(reader.take(2), "little")
    flags = int.from_bytes(reader.take(2), "little")
    if version != VERSION or flags & ~_LOSSLESS:
        raise _Malformed(f"its version is {version} and its flags are {flags:#x}")
    decoder = reader.take(HASH_BYTES)
    count = reader.number("the number of samples", 1, _MOST)
    axes = reader.number("the number of axes", 1, 3)
    shape = tuple(reader.number("the size of an axis", 1, _MOST) for _ in range(axes))
    if prod(shape) > _MOST:
        raise _Malformed(f"a sample has {prod(shape)} values")
    quantiser, tables = _quantiser(reader)
    words = reader.words()
    residual = _read_residual(reader) if flags & _LOSSLESS else None
    if reader.place != len(content):
        raise _Malformed(f"{len(content) - reader.place} bytes are left over")
    return Archive(decoder, shape, count, quantiser, tables, words, residual)


def _quantiser(reader: _Reader) -> tuple[Quantiser, list[Table]]:
    dims = reader.number("the number of dimensions", 1, len(reader.content))
    exponents, origins, tables = [], [], []
    exponent = 0
    for _ in range(dims):
        exponent += _unzigzag(reader.number("a step", 0, 4 * EXTREME))
        origin = _unzigzag(reader.number("an origin", 0, 1 << 50))
        sized = reader.number("the number of symbols", 2, 2 * MOST_SYMBOLS + 1)
        if abs(exponent) > EXTREME:
            raise _Malformed(f"a step is 2^({exponent}/8)")
        exponents.append(exponent)
        origins.append(origin)
        tables.append(_table(reader, sized // 2, bool(sized % 2)))
    numbers = np.array([exponents, origins, [table.size for table in tables]], dtype=np.int64)
    quantiser = Quantiser(*numbers)
    with np.errstate(over="ignore"):
        ends = quantiser.value_of(np.stack([numbers[1], numbers[1] + EIGHTHS * numbers[2]]))
    if not np.isfinite(ends).all():
        raise _Malformed("some of its codes are infinite")
    return quantiser, tables


def _table(reader: _Reader, size: int, is_bell: bool) -> Table:
    if size == 1:
        if is_bell:
            raise _Malformed("a constant dimension has a table")
        return Table(1)
    if not is_bell:
        return Table(size, levels=reader.take(size))
    centre = reader.number("the centre of a bell", 0, 2 * size)
    return Table(size, bell=(centre, reader.number("a bell's sharpness", 1, SHARPEST)))


def _residual(residual: Residual) -> bytes:
    levels = zlib.compress(b"".join(table.levels or b"" for table in residual.tables), 9)
    head = bytes([residual.subtracts]) + _varint(len(residual.tables)) + _varint(len(levels))
    return residual.digest + head + levels + _words(residual.words)


def _read_residual(reader: _Reader) -> Residual:
    digest = reader.take(16)
    subtracts = bool(reader.number("the kind of residual", 0, 1))
    contexts = reader.number("the number of contexts", 1, 256)
    packed = reader.take(reader.number("the size of the tables", 1, len(reader.content)))
    unpacking = zlib.decompressobj()
    try:
        levels = unpacking.decompress(packed, contexts * PIXELS + 1)
    except zlib.error as error:
        raise _Malformed(f"its tables cannot be unpacked ({error})") from None
    if len(levels) != contexts * PIXELS or not unpacking.eof:
        raise _Malformed(f"its tables have {len(levels)} bytes, and not {contexts * PIXELS}")
    tables = [
        Table(PIXELS, levels=levels[first : first + PIXELS])
        for first in range(0, len(levels), PIXELS)
    ]
    return Residual(digest, subtracts, tables, reader.words())


def _words(words: Words) -> bytes:
    return _varint(len(words)) + words.astype(_WORD).tobytes()


def _checksum(content: bytes | bytearray) -> bytes:
    return hashlib.blake2b(content, digest_size=HASH_BYTES, person=b"aez").digest()


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow (LEB128)."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _zigzag(number: int) -> int:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
    return number * 2 if number >= 0 else -number * 2 - 1


def _unzigzag(number: int) -> int:
    return number // 2 if number % 2 == 0 else -(number + 1) // 2
