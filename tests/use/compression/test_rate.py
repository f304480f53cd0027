"""What steps are chosen: as many bits as asked for, spent where they tell."""

from __future__ import annotations

import numpy as np
import pytest

from activae.errors import UserError
from activae.use.compression.allocation import sensitivities
from activae.use.compression.coder import decode_rows
from activae.use.compression.container import from_bytes, to_bytes
from activae.use.compression.rate import Coding

DIMS, FEATURES = 8, 20
DEVIATIONS = np.geomspace(0.5, 4, DIMS)


def linear(count: int, *, noise: float = 0.0, gains: np.ndarray | None = None) -> Coding:
    """Normal codes that a linear decoder with orthogonal rows turns into samples."""
    rng = np.random.default_rng(0)
    gains = np.geomspace(3, 0.01, DIMS) if gains is None else gains
    rows = np.linalg.qr(rng.standard_normal((FEATURES, DIMS)))[0].T * gains[:, None]
    codes = (rng.standard_normal((count, DIMS)) * DEVIATIONS + np.arange(DIMS)).astype(np.float32)

    def decode(some: np.ndarray) -> np.ndarray:
        return (some @ rows).astype(np.float32)

    originals = decode(codes) + noise * rng.standard_normal((count, FEATURES))
    return Coding(codes, originals, decode, 20.0, (FEATURES,), b"decoder0")


def bits(coding: Coding, archive: object) -> float:
    return 8 * len(to_bytes(archive)) / len(coding.codes)  # type: ignore[arg-type]


def test_the_sensitivity_is_the_squared_gain_of_the_decoder() -> None:
    coding = linear(100)
    found = sensitivities(coding.codes, coding.decode)
    assert found == pytest.approx(np.geomspace(3, 0.01, DIMS) ** 2, rel=1e-3)


def test_the_rate_is_that_of_reverse_water_filling_and_of_a_scalar_quantiser() -> None:
    """Normal sources: R(D) of Cover & Thomas, and at most 0.254 bits (Gish & Pierce) beside it."""
    coding = linear(20_000)
    variances = (np.geomspace(3, 0.01, DIMS) * DEVIATIONS) ** 2
    for most in (4, 12, 30):
        archive = coding.for_bits(most)
        error = FEATURES * coding.span**2 * 10 ** (-coding.psnr(archive.quantiser) / 10)
        levels = np.geomspace(1e-9, variances.max(), 20_000)
        level = levels[np.searchsorted(np.minimum(variances, levels[:, None]).sum(1), error)]
        bound = np.maximum(0.5 * np.log2(variances / level), 0).sum()
        active = (archive.quantiser.sizes > 1).sum()
        assert bound < bits(coding, archive) < bound + 0.254 * active + 0.7


def test_dimensions_that_the_decoder_ignores_cost_no_bits() -> None:
    coding = linear(2000, gains=np.array([1, 0, 1, 0, 1, 0, 1, 0.0]))
    sizes = coding.for_psnr(50).quantiser.sizes
    assert (sizes[1::2] == 1).all()
    assert (sizes[::2] > 4).all()


@pytest.mark.parametrize("count", [50, 3000])
def test_no_more_bits_than_asked_for_and_few_less(count: int) -> None:
    coding = linear(count)
    for most in (16, 30):
        assert (0.85 if count == 50 else 0.97) * most < bits(coding, coding.for_bits(most)) <= most


@pytest.mark.parametrize("count", [50, 3000])
def test_no_less_quality_than_asked_for_and_little_more(count: int) -> None:
    coding = linear(count)
    for least in (38.0, 50.0):
        assert least <= coding.psnr(coding.for_psnr(least).quantiser) < least + 1.2


def test_by_default_a_tenth_is_added_to_the_error_of_the_run() -> None:
    coding = linear(2000, noise=0.3)
    drop = coding.own_psnr - coding.psnr(coding.by_default().quantiser)
    assert 0.3 < drop <= 0.4140


def test_what_cannot_be_reached_is_an_error_in_words() -> None:
    coding = linear(30, noise=1.0)
    with pytest.raises(UserError, match=r"psnr=60: .* reaches 2\d\.\d\d dB on this input"):
        coding.for_psnr(60)
    with pytest.raises(UserError, match=r"bits=3: is too few: 30 samples .* take [\d.]+ bits"):
        coding.for_bits(3)


@pytest.mark.parametrize("count", [1, 2, 10])
def test_few_samples_have_a_short_header(count: int) -> None:
    coding = linear(count, noise=0.3)
    content = to_bytes(coding.by_default())
    assert len(content) < 60 + 10 * count + 8 * DIMS


def test_a_file_decodes_to_the_symbols_that_went_in() -> None:
    coding = linear(500)
    archive = coding.for_psnr(30)
    found = from_bytes(to_bytes(archive), "f")
    blocks = list(decode_rows(found.words, found.tables, found.count, "f"))
    assert np.array_equal(np.concatenate(blocks), archive.quantiser.symbols(coding.codes))


def test_constant_codes_and_exact_reconstructions_are_no_special_case() -> None:
    coding = linear(40)
    same = np.repeat(coding.codes[:1], 40, axis=0)
    constant = Coding(same, coding.decode(same), coding.decode, 20.0, (FEATURES,), b"decoder0")
    archive = constant.by_default()
    assert archive.quantiser.sizes.tolist() == [1] * DIMS
    assert constant.psnr(archive.quantiser) > 99
    zeros = np.zeros_like(same)
    nothing = Coding(zeros, coding.decode(zeros), coding.decode, 1.0, (FEATURES,), b"decoder0")
    assert nothing.psnr(nothing.by_default().quantiser) > 99
