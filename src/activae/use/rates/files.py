"""Test images, and what files of them by a run or by PCA take and give back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from torch import Tensor

from activae.data.module import AutoencoderDataModule
from activae.errors import UserError
from activae.results.pca import PCA
from activae.results.scores import has_window, structural_similarity
from activae.use.compression.container import HASH_BYTES, from_bytes, to_bytes
from activae.use.compression.packing import codes_of
from activae.use.compression.quantiser import Codes
from activae.use.compression.rate import EXACT, Coding, psnr

MOST_IMAGES = 10_000
_ROWS = 1024
_FINEST = 1.02  # times the run's own squared error: more bits buy next to nothing
_HALVINGS = 6  # by sqrt(2) each: down to an eighth of the finest file's bits


@dataclass(frozen=True)
class Point:
    """Images in one or more files: all bytes counted, and what comes back, on values in [0, 1].

    bits: a pixel (height x width, all channels). asked: what the encoder was told.
    ssim: NaN for images too small to have one.
    """

    bits: float
    mse: float
    ssim: float
    size: int
    images: int
    asked: str

    @property
    def psnr(self) -> float:
        """In dB, of the mean squared error over all images."""
        return psnr(self.mse, 1.0)


@dataclass(frozen=True, eq=False)
class Images:
    """Raw images [N, C, H, W], whose values lie between the bounds."""

    raw: Tensor
    bounds: tuple[float, float]

    @classmethod
    def of_test(cls, data: AutoencoderDataModule) -> tuple[Images, Tensor]:
        """At most 10,000 of the test split, evenly spread; and the same as networks take them."""
        samples = data.samples["test"]
        rows = np.linspace(0, len(samples) - 1, min(len(samples), MOST_IMAGES)).astype(np.int64)
        normalised = samples.index_select(0, torch.from_numpy(rows))
        raw = data.normalisation.inverse(normalised)
        whole = raw.round()  # 8-bit images come back from normalising with some 1e-6 of rounding
        return cls(whole if torch.allclose(whole, raw, atol=1e-3) else raw, data.raw_range), (
            normalised
        )

    @cached_property
    def shares(self) -> Tensor:
        """The images on [0, 1]."""
        return self._shares(self.raw)

    @property
    def pixels(self) -> int:
        """Of all images."""
        return len(self.raw) * prod(self.raw.shape[2:])

    def first(self, count: int) -> Images:
        """At most so many of them, evenly spread."""
        rows = np.linspace(0, len(self.raw) - 1, min(len(self.raw), count)).astype(np.int64)
        return Images(self.raw[torch.from_numpy(rows)], self.bounds)

    def point(self, raw: Tensor, size: int, asked: str) -> Point:
        """The point of files of so many bytes from which raw images come back.

        Values beyond the bounds count as the bounds: no picture shows them.
        """
        again = self._shares(raw)
        errors, similar = [], []
        for first in range(0, len(again), _ROWS):
            x, y = self.shares[first : first + _ROWS], again[first : first + _ROWS]
            errors.append((x.double() - y.double()).square().flatten(1).mean(1))
            if has_window(x):
                similar.append(structural_similarity(y, x, value_span=1.0).double())
        ssim = float(torch.cat(similar).mean()) if similar else math.nan
        mse = float(torch.cat(errors).mean())
        return Point(8 * size / self.pixels, mse, ssim, size, len(again), asked)

    def _shares(self, raw: Tensor) -> Tensor:
        low, high = self.bounds
        return ((raw.float() - low) / (high - low)).clamp(0, 1)


def points_of(coding: Coding, images: Images) -> Iterator[Point]:
    """Files of a code from the finest that is worth its bits down to an eighth of its size.

    Each is written as an .aez file, read back and decoded: what counts are the bytes of that file.
    """
    finest = _finest(coding)
    yield _point(coding, images, finest, "2 % more error")
    bits = 8 * len(finest) / len(images.raw)
    for halving in range(1, _HALVINGS + 1):
        most = bits / 2 ** (halving / 2)
        try:
            archive = coding.for_bits(most)
        except UserError:  # so few that the header takes all of them
            return
        yield _point(coding, images, to_bytes(archive), f"{most:.4g} bits a sample")


def pca_coding(
    pca: PCA, data: AutoencoderDataModule, images: Images, x: Tensor, dim: int
) -> Coding:
    """The code of PCA's first components, for the same quantiser and coder as a run's.

    x: the images, normalised.
    """
    components, mean = pca.components[:, :dim].cpu().float(), pca.mean.cpu().float()

    @torch.inference_mode()
    def decode(codes: Codes) -> np.ndarray:
        flat = torch.from_numpy(codes) @ components.T + mean
        raw: Tensor = data.normalisation.inverse(flat.view(-1, *x.shape[1:]))
        found: np.ndarray = raw.numpy()
        return found

    codes = pca.project(x, dim).cpu().float().numpy()
    low, high = images.bounds
    originals = images.raw.float().numpy()
    return Coding(codes, originals, decode, high - low, tuple(x.shape[1:]), bytes(HASH_BYTES))


def _finest(coding: Coding) -> bytes:
    least = min(coding.own_psnr, EXACT) - 10 * math.log10(_FINEST)
    try:
        return to_bytes(coding.for_psnr(least))
    except UserError:  # a code with so wide a range that its steps stay coarse
        return to_bytes(coding.archive(coding.curves.slopes()[0]))


def _point(coding: Coding, images: Images, content: bytes, asked: str) -> Point:
    codes = codes_of(from_bytes(content, "what was just written"), "it")
    parts = [coding.decode(codes[first : first + _ROWS]) for first in range(0, len(codes), _ROWS)]
    return images.point(torch.from_numpy(np.concatenate(parts)), len(content), asked)
