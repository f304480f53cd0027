"""Symbols come back from words as they were, at the price that their odds say."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activae.errors import DataError, UserError
from activae.use.compression.allocation import tables
from activae.use.compression.coder import BLOCK, Decoder, Table, decode_rows, encode, encode_rows
from activae.use.compression.quantiser import Quantiser

WEIGHTS = [285870, 1359834, 3846193, 7053950, 8388608, 7053950, 3846193, 1359834, 285870, 42494]
WORDS = [2180625202]


def fitted(symbols: np.ndarray, sizes: list[int]) -> list[Table]:
    zeros = np.zeros(len(sizes), np.int64)
    return tables(symbols, Quantiser(zeros, zeros, np.array(sizes)))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.lists(st.integers(1, 90), min_size=1, max_size=6), st.integers(0))
def test_symbols_come_back(count: int, sizes: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = np.stack([rng.integers(0, s, count) for s in sizes], axis=1).astype(np.int32)
    known = fitted(symbols, sizes)
    words = encode_rows(symbols, known)
    assert np.array_equal(np.concatenate([*decode_rows(words, known, count, "f")]), symbols)


def test_blocks_follow_each_other_in_one_stream() -> None:
    symbols = np.random.default_rng(0).integers(0, 5, (2 * BLOCK + 7, 2)).astype(np.int32)
    known = fitted(symbols, [5, 5])
    blocks = list(decode_rows(encode_rows(symbols, known), known, len(symbols), "f"))
    assert [len(block) for block in blocks] == [BLOCK, BLOCK, 7]
    assert np.array_equal(np.concatenate(blocks), symbols)


def test_the_words_are_these_on_every_machine() -> None:
    """Files written today are read by every later version: neither tables nor words may change."""
    symbols = np.array([[0, 3], [1, 4], [0, 5], [2, 4], [0, 4], [0, 9]], np.int32)
    known = [Table(3, levels=bytes([0, 16, 16])), Table(10, bell=(8, 40000))]
    assert known[1].weights().tolist() == WEIGHTS
    assert encode_rows(symbols, known).tolist() == WORDS


def test_a_stream_costs_what_the_odds_say() -> None:
    rng = np.random.default_rng(0)
    symbols = rng.choice(4, (20_000, 1), p=[0.9, 0.05, 0.03, 0.02]).astype(np.int32)
    counts = np.bincount(symbols[:, 0])
    entropy = -(counts * np.log2(counts / counts.sum())).sum()
    words = encode_rows(symbols, fitted(symbols, [4]))
    assert entropy <= 32 * len(words) <= 1.002 * entropy + 64


def test_few_samples_take_a_bell_and_many_a_level_for_each_symbol() -> None:
    rng = np.random.default_rng(0)
    for count, is_bell in ((20, True), (20_000, False)):
        symbols = np.clip(rng.laplace(20, 4, count).round(), 0, 40).astype(int)
        table = Table.fitted(np.bincount(symbols, minlength=41))
        assert (table.bell is not None) == is_bell


def test_a_dimension_with_one_symbol_costs_nothing() -> None:
    symbols = np.zeros((1000, 3), np.int32)
    assert len(encode_rows(symbols, fitted(symbols, [1, 1, 1]))) == 0


def test_words_that_were_not_written_so_are_refused() -> None:
    symbols = np.random.default_rng(0).integers(0, 7, (500, 1)).astype(np.int32)
    known = fitted(symbols, [7])
    words = encode_rows(symbols, known)
    with pytest.raises(DataError, match=r"^f: is malformed: more follows after its last sample"):
        list(decode_rows(words, known, 100, "f"))
    table = Table(2, levels=bytes([0, 255]))
    with pytest.raises(DataError, match="f: is malformed: its words cannot be decoded"):
        Decoder(np.array([2**32 - 1] * 4, np.uint32), "f").column(table, 300)


def test_empty_columns_may_stand_between_others() -> None:
    table = Table(4, levels=bytes(4))
    nothing, some = np.zeros(0, np.int32), np.array([3, 1, 2], np.int32)
    decoder = Decoder(encode([(table, nothing), (table, some), (table, nothing)]), "f")
    assert [decoder.column(table, n).tolist() for n in (0, 3, 0)] == [[], [3, 1, 2], []]
    decoder.finish()


def test_without_constriction_the_message_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(UserError, match=r"pip install 'activae\[compress\]'"):
        encode_rows(np.zeros((1, 1), np.int32), [Table(2, levels=bytes(2))])
