"""Pixels come back as they were, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from activae.errors import DataError
from activae.use.compression.container import Residual
from activae.use.compression.lossless import contexts_of, residual, residual_bits
from activae.use.compression.lossless import restored as restored_blocks


def restored(rest: Residual, predicted: np.ndarray, what: str) -> np.ndarray:
    """All pixels; nothing that is wrong gets as far as this."""
    return np.concatenate(list(restored_blocks(rest, predicted, what)))


def images(
    count: int, shape: tuple[int, ...] = (1, 8, 8), noise: float = 6
) -> tuple[np.ndarray, ...]:
    """Pixels and reconstructions that differ from them by noise, clipped."""
    rng = np.random.default_rng(0)
    smooth = rng.normal(128, 80, (count, shape[0], 1, 1)) + 9 * np.arange(shape[-1])
    pixels = np.clip(np.broadcast_to(smooth, (count, *shape)), 0, 255).astype(np.uint8)
    predicted = np.clip(pixels + noise * rng.standard_normal(pixels.shape), 0, 255)
    return pixels, predicted.round().astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7), (1, 1, 1), (2, 1, 6)])
@pytest.mark.parametrize("count", [1, 2, 5000])
def test_pixels_come_back(count: int, shape: tuple[int, ...]) -> None:
    pixels, predicted = images(count, shape)
    assert np.array_equal(restored(residual(pixels, predicted), predicted, "f"), pixels)


def test_reconstructions_that_say_nothing_still_give_the_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 1, 6, 6)).astype(np.uint8)
    blank = np.zeros_like(pixels)
    assert np.array_equal(restored(residual(pixels, blank), blank, "f"), pixels)


def test_better_reconstructions_leave_less() -> None:
    sizes = [residual_bits(*images(500, noise=noise)) for noise in (0, 2, 20)]
    assert sizes == sorted(sizes)
    pixels, predicted = images(500, noise=2)
    entropy = pixels.size * np.log2(2 * np.sqrt(2 * np.pi * np.e))  # of such noise, rounded
    assert sizes[1] < 1.1 * entropy
    words = residual(pixels, predicted).words
    assert 32 * len(words) == pytest.approx(sizes[1], rel=0.05)


def test_one_pixel_of_the_reconstruction_that_rounds_otherwise_is_noticed() -> None:
    pixels, predicted = images(30)
    rest = residual(pixels, predicted)
    for place in (0, 700, pixels.size - 1):
        other = predicted.copy()
        other.ravel()[place] += 1 if other.ravel()[place] < 255 else 255
        with pytest.raises(DataError, match=r"f: (cannot be restored without loss|is malformed)"):
            restored(rest, other, "f")


def test_a_residual_with_another_digest_is_refused() -> None:
    pixels, predicted = images(3)
    rest = residual(pixels, predicted)
    changed = Residual(bytes(16), rest.subtracts, rest.tables, rest.words)
    with pytest.raises(DataError, match="cannot be restored without loss here"):
        restored(changed, predicted, "f")


def test_contexts_tell_values_and_what_lies_around() -> None:
    image = np.zeros((1, 1, 5, 5), np.uint8)
    image[0, 0, 0, 0] = 200
    assert contexts_of(image, 1).max() == 0
    assert contexts_of(image, 16)[0, 0, 0, 0] == 200 // 16
    fine = contexts_of(image, 48)[0, 0]
    assert fine[:2, :2].tolist() == [[32 + 12, 32], [32, 32]]
    assert (fine[2:] == 0).all()
