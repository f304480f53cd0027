"""Steps that are powers of 2^(1/8), and codes that differ from their symbols by half a step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activae.use.compression.octaves import nearest, power, whole_power
from activae.use.compression.quantiser import MOST_SYMBOLS, Quantiser


def test_powers_are_those_of_two_and_floats_of_32_bits() -> None:
    eighths = np.arange(-300, 301)
    found = power(eighths)
    assert found == pytest.approx(2.0 ** (eighths / 8), rel=1e-7)
    assert (found.astype(np.float32) == found).all()
    assert (nearest(found) == eighths).all()


def test_whole_powers_end_at_one() -> None:
    assert whole_power(np.array([184, 80, 12, 8, 1, -1, -(10**12)])).tolist() == [
        *(2**23, 1024, 2, 2, 1, 1, 1)
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 5), st.integers(-60, 60), st.floats(-1e4, 1e4), st.integers()
)
def test_a_code_is_at_most_half_a_step_off(
    count: int, dims: int, exponent: int, shift: float, seed: int
) -> None:
    rng = np.random.default_rng(abs(seed))
    codes = (shift + 10 * rng.standard_normal((count, dims))).astype(np.float32)
    quantiser = Quantiser.covering(codes, np.full(dims, exponent))
    symbols = quantiser.symbols(codes)
    assert (symbols >= 0).all()
    assert (symbols < quantiser.sizes).all()
    rounding = 2**-23 * np.abs(codes)
    assert (
        np.abs(quantiser.values(symbols) - codes) <= power(quantiser.exponents) / 2 + rounding
    ).all()


def test_the_only_symbol_of_a_coarse_dimension_stands_for_the_mean() -> None:
    codes = np.array([[1.0], [2.0], [4.0]], np.float32)
    quantiser = Quantiser.covering(codes, np.array([32]))  # a step of 16
    assert quantiser.sizes.tolist() == [1]
    assert quantiser.values(quantiser.symbols(codes)) == pytest.approx(7 / 3, abs=1)


def test_steps_widen_where_a_dimension_would_take_too_many_symbols() -> None:
    codes = np.array([[0.0], [1e-3], [1e6]], np.float32)
    quantiser = Quantiser.covering(codes, np.array([-80]))
    assert MOST_SYMBOLS / 4 < quantiser.sizes[0] <= MOST_SYMBOLS


def test_codes_beyond_the_ends_get_the_last_symbol() -> None:
    quantiser = Quantiser.covering(np.array([[0.0], [10.0]], np.float32), np.array([0]))
    outside = np.array([[-50.0], [50.0]], np.float32)
    assert quantiser.values(quantiser.symbols(outside)).ravel().tolist() == [0, 10]
