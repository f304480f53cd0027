"""Archives from which pixels come back as they were: through a run's decoder in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from activae.errors import DataError
from activae.use.arrays import BYTES
from activae.use.compression.allocation import spread_rows
from activae.use.compression.container import Archive
from activae.use.compression.lossless import Pixels, residual, residual_bits
from activae.use.compression.quantiser import Codes
from activae.use.compression.rate import JUDGED, Coding
from activae.use.compression.rows import ReadRows, Rows, held_if_small
from activae.use.run import Run

ROWS = 256  # that float64 decodes at a time


def exact_archive(run: Run, coding: Coding, pixels: Rows) -> Archive:
    """The smallest archive of all slopes, codes and residual together."""
    decode = exact_decoder(run)
    numbers = spread_rows(np.arange(len(pixels)), JUDGED)
    some, seen = pixels[numbers], coding.codes[numbers]
    share = len(seen) / len(coding.codes)

    def bits(slope: float) -> float:
        quantiser = coding.quantiser(slope)
        values = quantiser.values(quantiser.symbols(seen))
        return share * coding.curves.bits_at(slope) + residual_bits(some, decode(values))

    low, high = coding.curves.slopes()
    best = min(np.geomspace(low, high, 28).tolist(), key=bits)
    best = min([best * 2.0**octaves for octaves in (-2, -1, 0, 1, 2)], key=bits)
    archive = coding.archive(best)
    values = archive.quantiser.values(archive.quantiser.symbols(coding.codes))
    predicted = held_if_small(ReadRows(len(pixels), lambda a, b: decode(values[a:b])))
    return replace(archive, residual=residual(pixels, predicted))


def whole_pixels(raw: np.ndarray) -> Pixels:
    """Raw values as bytes. Raises DataError where they are none."""
    rounded = raw.astype(np.uint8)
    if not np.array_equal(rounded.astype(raw.dtype), raw):
        raise DataError("lossless: is for whole pixels from 0 to 255, and some are fractions")
    return rounded


def exact_decoder(run: Run) -> Callable[[Codes], Pixels]:
    """Codes [n, D] to pixels: in float64 on the CPU, where machines differ least."""
    net = copy.deepcopy(run.network).cpu().double().eval()
    inverse: Any = copy.deepcopy(run.normalisation).cpu().double().inverse

    @torch.inference_mode()
    def decode(codes: Codes) -> Pixels:
        parts = []
        for first in range(0, len(codes), ROWS):
            rows = torch.zeros(ROWS, codes.shape[1], dtype=torch.float64)
            part = torch.from_numpy(codes[first : first + ROWS])
            rows[: len(part)] = part
            raw = inverse(net.decode(rows.reshape(ROWS, *run.code_shape)))
            parts.append(raw[: len(part)].round().clamp(*BYTES).to(torch.uint8))
        return torch.cat(parts).numpy()

    return decode
