"""The .aez format: what comes from elsewhere is refused in words, and never half believed."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activae.errors import DataError
from activae.use.compression.coder import Table, decode_rows, encode_rows
from activae.use.compression.container import MAGIC, Archive, from_bytes, to_bytes
from activae.use.compression.lossless import residual, restored
from activae.use.compression.quantiser import Quantiser

COUNT, SHAPE = 40, (1, 4, 5)


def example(*, lossless: bool = True) -> Archive:
    """An archive with every kind of table."""
    rng = np.random.default_rng(0)
    sizes = [1, 7, 300]
    symbols = np.stack([rng.integers(0, size, COUNT) for size in sizes], 1).astype(np.int32)
    tables = [Table(1), Table.explicit(np.bincount(symbols[:, 1], minlength=7))]
    tables.append(Table(300, bell=(300, 12)))
    quantiser = Quantiser(np.array([-20, 3, 4]), np.array([1 << 33, -700, 0]), np.array(sizes))
    pixels = rng.integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)
    rest = residual(pixels, predicted()) if lossless else None
    words = encode_rows(symbols, tables)
    return Archive(b"decoder0", SHAPE, COUNT, quantiser, tables, words, rest)


def predicted() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (COUNT, *SHAPE)).astype(np.uint8)


CONTENT = {lossless: to_bytes(example(lossless=lossless)) for lossless in (False, True)}


def signed(content: bytes | bytearray) -> bytes:
    """The content, with a checksum that fits it in place of its last bytes."""
    body = bytes(content[:-8])
    return body + hashlib.blake2b(body, digest_size=8, person=b"aez").digest()


def read_all(content: bytes) -> None:
    """Everything that decompressing does with a file, but for the network."""
    archive = from_bytes(content, "f.aez")
    if archive.count > 10_000 or archive.shape != SHAPE:
        return  # that the run and the memory refuse
    for block in decode_rows(archive.words, archive.tables, archive.count, "f.aez"):
        assert np.isfinite(archive.quantiser.values(block)).all()
    if archive.residual and archive.count == COUNT:
        restored(archive.residual, predicted(), "f.aez")


@pytest.mark.parametrize("lossless", [False, True])
def test_an_archive_comes_back(lossless: bool) -> None:
    archive = example(lossless=lossless)
    found = from_bytes(CONTENT[lossless], "f")
    assert (found.decoder, found.shape, found.count) == (b"decoder0", SHAPE, COUNT)
    assert found.tables == archive.tables
    assert np.array_equal(found.words, archive.words)
    for name in ("exponents", "origins", "sizes"):
        assert np.array_equal(getattr(found.quantiser, name), getattr(archive.quantiser, name))
    assert to_bytes(found) == CONTENT[lossless]
    assert (found.residual is not None) == lossless


def test_the_format_is_this_byte_by_byte() -> None:
    """docs/compression.md says the same."""
    quantiser = Quantiser(np.array([8, 6]), np.array([-3, 200]), np.array([1, 3]))
    archive = Archive(
        *(b"12345678", (300,), 5, quantiser, [Table(1), Table(3, levels=b"\0\1\2")]),
        np.array([0x01020304], np.uint32),
    )
    assert to_bytes(archive)[:-8] == (
        b"\x89AEZ\r\n\x1a\n"  # magic
        b"\1\0\0\0"  # version 1, no flags
        b"12345678"  # of the decoder
        b"\5\1\xac\2"  # 5 samples, 1 axis of 300
        b"\2"  # dimensions
        b"\x10\5\2"  # exponent +8, origin -3, 1 symbol
        b"\3\x90\3\6\0\1\2"  # exponent -2, origin +200, 3 symbols and their levels
        b"\1\4\3\2\1"  # one word, the lowest byte first
    )


def test_whatever_else_is_called_so_is_foreign() -> None:
    for content in (b"", b"\x89PNG\r\n\x1a\n" + bytes(99), b"PK\3\4" + bytes(60), MAGIC[:5]):
        with pytest.raises(DataError, match=r"^f\.aez: is not an \.aez file"):
            from_bytes(content, "f.aez")


def test_a_newer_version_says_so_whatever_follows() -> None:
    content = bytearray(CONTENT[False])
    content[8] = 2
    for newer in (bytes(content), signed(content), bytes(content[:10]) + bytes(50)):
        with pytest.raises(DataError, match=r"is in version 2 of the format, .* update activae"):
            from_bytes(newer, "f.aez")


def test_every_cut_is_noticed() -> None:
    for end in range(len(MAGIC), len(CONTENT[True]) - 1):
        with pytest.raises(DataError, match=r"^f\.aez: is damaged"):
            from_bytes(CONTENT[True][:end], "f.aez")


def test_every_flipped_bit_is_noticed() -> None:
    for place in range(8 * len(CONTENT[False])):
        content = bytearray(CONTENT[False])
        content[place // 8] ^= 1 << place % 8
        with pytest.raises(DataError, match=r"^f\.aez: is "):
            from_bytes(bytes(content), "f.aez")


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "cut", "repeat"]),
        st.integers(0, 10**6),
        st.binary(min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=1000, deadline=None)
@given(st.booleans(), st.booleans(), MUTATIONS)
def test_mutations_end_in_one_message_and_little_memory(
    lossless: bool, signs: bool, mutations: list[tuple[str, int, bytes]]
) -> None:
    """Signed ones have a checksum that fits: all that stands behind it is checked as well."""
    content = bytearray(CONTENT[lossless])
    for kind, at, new in mutations:
        place = at % (len(content) + 1)
        if kind == "set":
            content[place : place + len(new)] = new
        elif kind == "insert":
            content[place:place] = new
        elif kind == "delete":
            del content[place : place + len(new)]
        elif kind == "cut":
            del content[place:]
        else:
            content[place:place] = content[place // 2 : place]
    mutated = signed(content) if signs else bytes(content)
    tracemalloc.start()
    message = ""
    try:
        read_all(mutated)
    except DataError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert message.startswith("f.aez: ") or signs or mutated == CONTENT[lossless]
    assert "\n" not in message
    assert peak < 1 << 26


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 0}, "the number of samples is 0"),
        ({"count": 1 << 50}, "the number of samples is"),
        ({"shape": (1 << 39, 1 << 39)}, "a sample has"),
        ({"shape": ()}, "the number of axes is 0"),
        ({"shape": (1, 1, 1, 1)}, "the number of axes is 4"),
    ],
)
def test_numbers_that_cannot_be_are_named(change: dict[str, object], words: str) -> None:
    content = to_bytes(replace(example(lossless=False), **change))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"is malformed, though its checksum is right: {words}"):
        from_bytes(content, "f.aez")


def test_infinite_codes_and_packed_bombs_are_refused() -> None:
    archive = example()
    high = Quantiser(np.array([800, 0, 0]), np.array([1 << 49, 0, 0]), archive.quantiser.sizes)
    with pytest.raises(DataError, match="some of its codes are infinite"):
        from_bytes(to_bytes(replace(archive, quantiser=high)), "f.aez")
    assert archive.residual
    bomb = replace(archive.residual, tables=[Table(1 << 26, levels=bytes(1 << 26))])
    content = to_bytes(replace(archive, residual=bomb))
    tracemalloc.start()
    with pytest.raises(DataError, match="its tables have 257 bytes, and not 256"):
        from_bytes(content, "f.aez")
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()
