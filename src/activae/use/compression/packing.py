"""Samples to an .aez file and back, through a run."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from activae.errors import DataError, UserError
from activae.training.restoring import hash_of
from activae.use.arrays import BYTES, declared_range
from activae.use.compression.allocation import spread_rows
from activae.use.compression.coder import decode_rows
from activae.use.compression.container import Archive, Residual, from_bytes, to_bytes
from activae.use.compression.exact import exact_archive, exact_decoder, whole_pixels
from activae.use.compression.lossless import Pixels, restored
from activae.use.compression.quantiser import Codes
from activae.use.compression.rate import Coding
from activae.use.compression.rows import ReadRows, Rows, blocks, held_if_small
from activae.use.forms import pictures
from activae.use.given import given
from activae.use.run import Run
from activae.use.streams import is_stream
from activae.use.writing import shows_images, writer

PICTURED = 1000  # images that are written as PNG, to compare
WRITTEN = 4096  # samples that are decompressed into a file at a time
SHARE_OF_MEMORY = 0.5  # that is free, which decompressed samples may take


@dataclass(frozen=True)
class Packed:
    """A compressed file and what is to be said of it.

    content: of the file. samples, values: how many, and of one sample; pixels: of one image, None
    for other data. psnr: of what decompresses, in dB, infinite where that is exact; own_psnr: of
    the run with its codes kept exactly; both on raw values for images, on normalised ones for other
    data, as in metrics.json, and before rounding. raw_bytes, zlib_bytes, png_bytes: of the same
    samples as they are, by zlib, and as PNG, an image each (None for other data).
    """

    content: bytes
    samples: int
    values: int
    pixels: int | None
    psnr: float
    own_psnr: float
    raw_bytes: int
    zlib_bytes: int
    png_bytes: int | None

    @property
    def bits_a_sample(self) -> float:
        """All of the file counted."""
        return 8 * len(self.content) / self.samples

    def __str__(self) -> str:
        size = len(self.content)
        per = f"{self.bits_a_sample / (self.pixels or self.values):.4g} bits a " + (
            "pixel" if self.pixels else "value"
        )
        exact = "exact" if self.psnr == inf else f"PSNR {self.psnr:.2f} dB"
        others = {"raw": self.raw_bytes, "zlib": self.zlib_bytes, "PNG": self.png_bytes}
        ratios = [f"{_ratio(n, size)} than {name}" for name, n in others.items() if n]
        return (
            f"{self.samples} samples in {size} bytes: {self.bits_a_sample:.4g} bits a sample, "
            f"{per}; {exact} (the run itself {self.own_psnr:.2f} dB); {', '.join(ratios)}"
        )


def compress(
    run: Run,
    x: Any,
    *,
    bits: float | None = None,
    psnr: float | None = None,
    lossless: bool = False,
) -> Packed:
    """Compress samples, given as to `Run.encode`, the path of a file or folder among that.

    Args:
        run: which must be at hand to decompress.
        x: the samples.
        bits: a sample, at the most, the whole file counted.
        psnr: in dB, at the least.
        lossless: what comes back is exact; for images of 8 bits.

    Without any of these the file is the smallest with 10 % more squared error than the run's own.
    All codes are in memory, and of samples that are many a block at a time: these are read again
    for each of the few choices that all of them judge.

    Raises:
        DataError: the samples are none that the run takes.
        UserError: a target cannot be reached, or the run cannot compress.
    """
    _check(run, bits, psnr, lossless)
    if is_stream(x):
        raise DataError(
            "batches one after another were given, and samples are read several times: give one "
            "array, table or file"
        )
    found = given(run, x)
    if not found.rows:
        raise DataError("no samples were given: there is nothing to compress")
    raw = held_if_small(ReadRows(found.rows, lambda a, b: found.raw(a, b).cpu().numpy()))
    coding = coding_of(run, raw)
    if lossless:
        archive = exact_archive(
            run, coding, ReadRows(len(raw), lambda a, b: whole_pixels(raw[a:b]))
        )
    elif bits is not None:
        archive = coding.for_bits(bits)
    else:
        archive = coding.by_default() if psnr is None else coding.for_psnr(psnr)
    content = to_bytes(archive)
    assert np.array_equal(
        codes_of(from_bytes(content, "what was just written"), "it"),
        archive.quantiser.values(archive.quantiser.symbols(coding.codes)),
    )
    is_image = run.spec.is_image
    return Packed(
        content,
        samples=len(raw),
        values=prod(run.spec.shape),
        pixels=prod(run.spec.shape[1:]) if is_image else None,
        psnr=inf if lossless else coding.psnr(archive.quantiser),
        own_psnr=coding.own_psnr,
        raw_bytes=raw[0:1].nbytes * len(raw),
        zlib_bytes=_zlib_bytes(raw, prod(run.spec.shape)),
        png_bytes=_png_bytes(raw, run.spec.raw_range) if is_image else None,
    )


def decompress(
    run: Run, source: bytes | str | Path, *, lossy: bool = False, memory: int | None = None
) -> Any:
    """The samples of a compressed file or of its content, in the form in which `Run.decode` gives.

    lossy: leave out what makes a lossless file exact. memory: bytes that the samples may take
    (default: half of what is free).

    Raises DataError where the file is damaged, foreign, newer, too large, or of another run.
    """
    what = "the content" if isinstance(source, bytes) else str(source)
    archive = _archive(source, what)
    _check_fit(run, archive, what, memory)
    codes = codes_of(archive, what)
    if archive.residual is None or lossy:
        return run.decode(codes)
    return np.concatenate(list(_restored(run, archive.residual, codes, what)))


def write(run: Run, source: Path, target: Path, *, lossy: bool = False) -> None:
    """Decompress into a file or, images, a folder; whole or not at all. Raises DataError.

    All codes are in memory, and few samples at a time.
    """
    archive = _archive(source, str(source))
    with closing(writer(target, archive.count, "decode", (), None)) as out:
        for samples in _written(run, source, archive, lossy=lossy):
            if run.spec.is_image and shows_images(target):
                samples = pictures(torch.from_numpy(samples), run.spec.raw_range)
            out.add(samples)
        out.finish()


def _written(run: Run, source: Path, archive: Archive, *, lossy: bool) -> Iterator[Any]:
    """The samples of a file in parts."""
    _check_fit(run, archive, str(source), None, held=WRITTEN)
    codes = codes_of(archive, str(source))
    if archive.residual is not None and not lossy:
        yield from _restored(run, archive.residual, codes, str(source))
        return
    for first in range(0, len(codes), WRITTEN):
        yield run.decode(codes[first : first + WRITTEN])


def _restored(run: Run, rest: Residual, codes: Codes, what: str) -> Iterator[Pixels]:
    """The exact pixels of codes and what a file holds beside them, in blocks."""
    decode = exact_decoder(run)
    return restored(rest, ReadRows(len(codes), lambda a, b: decode(codes[a:b])), what)


def _archive(source: bytes | str | Path, what: str) -> Archive:
    return from_bytes(source if isinstance(source, bytes) else _bytes_of(Path(source)), what)


def decoder_hash(run: Run) -> bytes:
    """Eight bytes that tell what decodes: the decoder's weights, and the way to raw data."""
    net = run.network
    parts = (net.decoder, net.output_activation, run.normalisation)
    return hash_of(parts, repr((tuple(run.spec.shape), tuple(run.code_shape))))


def check_can_compress(run: Run) -> None:
    """Raises UserError where a run's code does not hold all that decoding takes."""
    if run.shares_totals:
        raise UserError(
            f"{run.folder}: this run's output shares out each sample's total, which its code does "
            "not hold, so that it cannot compress; train one with another objective"
        )


def _check(run: Run, bits: float | None, psnr: float | None, lossless: bool) -> None:
    for name, value in (("bits", bits), ("psnr", psnr)):
        if value is not None and not 0 < value < inf:
            raise UserError(f"{name}={value:g}: give a number above 0")
    if (bits is not None) + (psnr is not None) + lossless > 1:
        raise UserError("bits, psnr and lossless: give one of them; each says how much is kept")
    check_can_compress(run)
    if lossless and not (run.spec.is_image and declared_range(run) == BYTES):
        raise UserError(
            f"lossless: is for images of 8 bits, from 0 to 255; this run expects {run.expected()}"
        )


def coding_of(run: Run, raw: Rows) -> Coding:
    """The codes of raw samples [N, *shape], and how their error is measured."""

    def normalised(rows: slice) -> Tensor:
        found: Tensor = run.normalisation(torch.from_numpy(raw[rows]).to(run.device))
        return found

    def original(first: int, last: int) -> np.ndarray:
        rows = slice(first, last)
        known = torch.from_numpy(raw[rows]) if run.spec.is_image else normalised(rows).cpu()
        return known.float().numpy()

    codes = np.concatenate(
        [
            run.encode_normalised(normalised(rows)).cpu().flatten(1).float().numpy()
            for rows in blocks(len(raw), prod(run.spec.shape))
        ]
    )
    if not np.isfinite(codes).all():
        place = np.argwhere(~np.isfinite(codes))[0].tolist()
        raise DataError(f"sample {place[0]} (counted from 0) has an infinite code or NaN")
    low, high = run.spec.raw_range if run.spec.is_image else run.spec.normalised_range
    originals = ReadRows(len(raw), original)

    def decode(some: Codes) -> np.ndarray:
        out = run.decode_normalised(torch.from_numpy(some))
        found: np.ndarray = (run.from_network(out) if run.spec.is_image else out).cpu().numpy()
        return found

    return Coding(codes, originals, decode, high - low, tuple(run.spec.shape), decoder_hash(run))


def codes_of(archive: Archive, what: str) -> Codes:
    """The codes [N, D] that a file holds; `what` is the file, for messages."""
    blocks = decode_rows(archive.words, archive.tables, archive.count, what)
    return np.concatenate([archive.quantiser.values(block) for block in blocks])


def _ratio(other: int, size: int) -> str:
    """How many times smaller, or larger, a size is."""
    return f"{other / size:.3g} x smaller" if size <= other else f"{size / other:.3g} x larger"


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{file}: cannot be read ({reason}); give a file of compress") from error


def _check_fit(
    run: Run, archive: Archive, what: str, memory: int | None, held: int | None = None
) -> None:
    """Raise DataError for an archive of another run, or too large; held: samples at a time."""
    if archive.decoder != decoder_hash(run):
        raise DataError(
            f"{what}: was compressed by another run than {run.folder}: the hash of its decoder is "
            f"{archive.decoder.hex()}, that of this one's is {decoder_hash(run).hex()}; give the "
            "run that compressed it"
        )
    dims = prod(run.code_shape)
    if archive.shape != tuple(run.spec.shape) or len(archive.tables) != dims:
        raise DataError(
            f"{what}: holds samples {list(archive.shape)} in codes of {len(archive.tables)} "
            f"dimensions, and this run has {list(run.spec.shape)} and {dims}"
        )
    # A sample: as floats, as its form and, for an instant, both; symbols and codes beside that.
    at_once = min(archive.count, held or archive.count)
    needed = at_once * 12 * prod(archive.shape) + archive.count * 16 * dims
    free = int(SHARE_OF_MEMORY * psutil.virtual_memory().available) if memory is None else memory
    if needed > free:
        raise DataError(
            f"{what}: says that it holds {archive.count} samples, which take {needed / 1e9:.3g} GB "
            f"to decompress, and {free / 1e9:.3g} GB may be used here"
        )


def _zlib_bytes(raw: Rows, values: int) -> int:
    packer = zlib.compressobj()
    size = sum(len(packer.compress(raw[rows].tobytes())) for rows in blocks(len(raw), values))
    return size + len(packer.flush())


def _png_bytes(raw: Rows, bounds: tuple[float, float]) -> int:
    """What images [N, C, H, W] take as PNG, an image each; of many, from a thousand of them."""
    some = raw[spread_rows(np.arange(len(raw)), PICTURED)]
    total = 0
    for picture in pictures(torch.from_numpy(some), bounds):
        buffer = BytesIO()
        picture.save(buffer, "PNG", optimize=True)
        total += buffer.tell()
    return round(total * len(raw) / len(some))
