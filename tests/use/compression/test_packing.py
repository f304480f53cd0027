"""Samples through a run to an .aez file and back: targets, guarantees, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import activae
from activae.cli.use import main
from activae.errors import DataError, UserError
from activae.results.run import train
from activae.use.compression import coder, lossless, packing, rows
from activae.use.compression.container import from_bytes, to_bytes
from activae.use.compression.packing import compress, decoder_hash, decompress
from activae.use.run import Run

Trained = Callable[..., Path]


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Smooth images of 8 bits [N, 1, 8, 8]."""
    rng = np.random.default_rng(0)
    waves = np.sin(
        rng.uniform(0, 3, (300, 1, 1, 1)) + np.arange(8) / rng.uniform(1, 3, (300, 1, 1, 1))
    )
    return (127.5 + 100 * np.broadcast_to(waves, (300, 1, 8, 8))).round().astype(np.uint8)


@pytest.fixture(scope="session")
def bytes_run(
    compose: Callable[..., Any],
    home: Path,
    pixels: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Trained for longer, until its reconstructions say something."""
    np.save(home / "pixels.npy", pixels)
    folder = tmp_path_factory.mktemp("trained") / "run"
    data = ("data=array", f"data.path={home / 'pixels.npy'}", "+data.source.value_range=[0,255]")
    small = ("encoding.dim=4", "trainer.max_steps=500", "trainer=cpu", "logger=minimal")
    train(compose(*data, *small, "logger.progress_bar=false", "optimizer.lr=3e-3"), folder)
    return activae.load(folder)


def test_what_comes_back_is_the_reconstruction_but_for_the_quantiser(
    digits: Run, images: np.ndarray
) -> None:
    packed = compress(digits, images)
    again = decompress(digits, packed.content)
    error = ((again.reshape(images.shape) - images) ** 2).mean()
    own = ((digits.reconstruct(images) - images) ** 2).mean()
    assert 1 < error / own < 1.1001
    assert packed.psnr == pytest.approx(10 * np.log10(16**2 / error), abs=1e-4)
    assert packed.own_psnr == pytest.approx(10 * np.log10(16**2 / own), abs=1e-4)
    assert packed.bits_a_sample == 8 * len(packed.content) / len(images)
    assert f"{packed.bits_a_sample / 64:.4g} bits a pixel" in str(packed)


def test_targets_hold_for_the_file(digits: Run, images: np.ndarray) -> None:
    few = compress(digits, images, bits=10)
    assert 9 < few.bits_a_sample <= 10
    least = few.own_psnr - 0.2
    good = compress(digits, images, psnr=least)
    assert good.psnr >= least
    assert good.bits_a_sample < 8 * 8


def test_numbers_do_not_depend_on_threads_or_on_what_else_is_in_memory(
    digits: Run, images: np.ndarray
) -> None:
    packed = compress(digits, images[:100])
    again = decompress(digits, packed.content)
    torch.set_num_threads(2)
    try:
        assert np.array_equal(decompress(digits, packed.content), again)
        assert compress(digits, images[:100]).content == packed.content
    finally:
        torch.set_num_threads(1)


def test_lossless_is_exact_and_smaller_than_zlib(bytes_run: Run, pixels: np.ndarray) -> None:
    packed = compress(bytes_run, pixels, lossless=True)
    again = decompress(bytes_run, packed.content)
    assert again.dtype == np.uint8
    assert np.array_equal(again, pixels)
    assert packed.psnr == inf
    assert packed.png_bytes is not None
    assert len(packed.content) < packed.png_bytes
    lossy = decompress(bytes_run, packed.content, lossy=True)
    assert not np.array_equal(lossy, pixels)
    assert (lossy.dtype, lossy.shape) == (np.uint8, pixels.shape)


@pytest.mark.parametrize("options", [{}, {"psnr": 17.0}, {"bits": 20.0}, {"lossless": True}])
def test_samples_that_memory_cannot_hold_are_read_block_by_block(
    bytes_run: Run,
    pixels: np.ndarray,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
) -> None:
    wanted = compress(bytes_run, home / "pixels.npy", **options)
    monkeypatch.setattr(rows, "HELD_BYTES", 0)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 32 * 8 * 64)
    found, held = packing.given, []

    def watched(run: Run, x: Any) -> Any:
        known = found(run, x)
        return replace(known, raw=lambda a, b: held.append(b - a) or known.raw(a, b))

    monkeypatch.setattr(packing, "given", watched)

    again = compress(bytes_run, home / "pixels.npy", **options)

    assert again.content == wanted.content
    for name in ("samples", "raw_bytes", "zlib_bytes", "png_bytes"):
        assert getattr(again, name) == getattr(wanted, name)
    assert again.psnr == pytest.approx(wanted.psnr, abs=1e-9)
    assert max(held) == (len(pixels) if "lossless" in options else 32)  # the format's block: 4096


def test_lossless_samples_are_written_part_by_part(
    bytes_run: Run, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (lossless, coder):
        monkeypatch.setattr(module, "BLOCK", 64)
    (tmp_path / "x.aez").write_bytes(compress(bytes_run, pixels, lossless=True).content)
    restored, held = packing.restored, []

    def watched(*arguments: Any) -> Any:
        for part in restored(*arguments):
            held.append(len(part))
            yield part

    monkeypatch.setattr(packing, "restored", watched)

    packing.write(bytes_run, tmp_path / "x.aez", tmp_path / "x.npy")

    assert held == [64, 64, 64, 64, 44]
    assert np.array_equal(np.load(tmp_path / "x.npy"), pixels)


def test_a_file_that_is_larger_is_called_so(bytes_run: Run, pixels: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 256, pixels[:2].shape, dtype=np.uint8)
    packed = compress(bytes_run, noise, lossless=True)
    assert "x larger than raw" in str(packed)


@pytest.mark.parametrize("name", ["missing.aez", "."])
def test_what_is_no_file_is_named(name: str, digits: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(.*\); give a file of compress"):
        decompress(digits, tmp_path / name)


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_come_back_too(bytes_run: Run, pixels: np.ndarray, count: int) -> None:
    packed = compress(bytes_run, pixels[:count], lossless=True)
    assert np.array_equal(decompress(bytes_run, packed.content), pixels[:count])
    assert len(compress(bytes_run, pixels[:count]).content) < 80


def test_a_reconstruction_that_rounds_otherwise_is_refused_and_never_returned(
    bytes_run: Run, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = compress(bytes_run, pixels, lossless=True).content
    inverse = type(bytes_run.normalisation).inverse
    monkeypatch.setattr(
        type(bytes_run.normalisation), "inverse", lambda self, x: inverse(self, x) + 0.5
    )
    with pytest.raises(DataError, match=r"the content: (cannot be restored without loss|is malf)"):
        decompress(bytes_run, content)
    assert len(decompress(bytes_run, content, lossy=True)) == len(pixels)


def test_pictures_that_may_be_wrong_are_never_written(
    bytes_run: Run, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.aez").write_bytes(compress(bytes_run, pixels, lossless=True).content)
    inverse = type(bytes_run.normalisation).inverse
    monkeypatch.setattr(
        type(bytes_run.normalisation), "inverse", lambda self, x: inverse(self, x) + 0.5
    )
    for target in ("folder", "x.npy"):
        with pytest.raises(DataError, match=r"cannot be restored without loss|is malformed"):
            packing.write(bytes_run, tmp_path / "x.aez", tmp_path / target)
    assert [file.name for file in tmp_path.iterdir()] == ["x.aez"]


def test_tables_come_back_as_tables(table_run: Run, table: pd.DataFrame) -> None:
    packed = compress(table_run, table)
    again = decompress(table_run, packed.content)
    assert set(again.columns) == set(table.columns)
    assert set(again["city"]) <= {"Oslo", "Rome"}
    assert "bits a value" in str(packed)
    assert "PNG" not in str(packed)


def test_another_run_is_refused(digits: Run, bytes_run: Run, images: np.ndarray) -> None:
    content = compress(digits, images[:20]).content
    with pytest.raises(DataError, match=r"was compressed by another run than .* its decoder is "):
        decompress(bytes_run, content)
    archive = from_bytes(content, "f")
    forged = to_bytes(replace(archive, shape=(1, 64)))
    with pytest.raises(DataError, match=r"holds samples \[1, 64\] in codes of 8 dimensions"):
        decompress(digits, forged)
    weight = next(digits.network.decoder.parameters())
    before, known = weight.detach().clone(), decoder_hash(digits)
    with torch.no_grad():
        weight.view(-1)[0] += 1e-6
        assert decoder_hash(digits) != known
        weight.copy_(before)
    assert decoder_hash(digits) == known


def test_a_count_that_would_fill_the_memory_is_refused_first(
    digits: Run, images: np.ndarray
) -> None:
    archive = from_bytes(compress(digits, images[:20]).content, "f")
    with pytest.raises(DataError, match=r"holds 1099511627776 samples, which take .* GB"):
        decompress(digits, to_bytes(replace(archive, count=1 << 40)))
    with pytest.raises(DataError, match=r"and 1e-06 GB may be used here"):
        decompress(digits, to_bytes(archive), memory=1000)


def test_samples_are_written_part_by_part(
    digits: Run,
    table_run: Run,
    images: np.ndarray,
    table: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "WRITTEN", 16)
    decode, held = Run.decode, []
    monkeypatch.setattr(Run, "decode", lambda self, z: held.append(len(z)) or decode(self, z))
    for run, x, name in ((digits, images[:100], "x.npy"), (table_run, table, "x.csv")):
        content = compress(run, x).content
        (tmp_path / "x.aez").write_bytes(content)
        held.clear()

        packing.write(run, tmp_path / "x.aez", tmp_path / name)

        assert (max(held), sum(held)) == (16, len(x))
        wanted = decompress(run, content)
        if name == "x.npy":
            assert np.array_equal(np.load(tmp_path / name), wanted)
        else:
            pd.testing.assert_frame_equal(pd.read_csv(tmp_path / name), wanted, check_dtype=False)


def test_what_cannot_be_is_said_in_words(digits: Run, images: np.ndarray) -> None:
    for options, words in (
        ({"bits": 0}, "bits=0: give a number above 0"),
        ({"psnr": float("nan")}, "psnr=nan: give a number above 0"),
        ({"bits": 9, "psnr": 20}, "bits, psnr and lossless: give one of them"),
        ({"lossless": True}, "lossless: is for images of 8 bits"),
        ({"psnr": 90}, "psnr=90: is beyond this run"),
    ):
        with pytest.raises(UserError, match=words):
            compress(digits, images[:20], **options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there is nothing to compress"):
        compress(digits, images[:0])
    for batches in (iter([images[:9]]), [images[:9], images[9:20]]):
        with pytest.raises(DataError, match="batches one after another were given"):
            compress(digits, batches)


def test_fractions_are_no_pixels(bytes_run: Run, pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match="lossless: is for whole pixels"):
        compress(bytes_run, pixels + np.float32(0.25) * (pixels < 200), lossless=True)


def test_counts_whose_totals_a_code_lacks_are_refused(
    trained: Trained, home: Path, texts: list[str]
) -> None:
    (home / "more.txt").write_text("\n".join(texts))
    folder = trained("data=text", f"data.path={home / 'more.txt'}", "objective=multinomial")
    with pytest.raises(UserError, match=r"shares out each sample's total, .* another objective"):
        compress(activae.load(folder), texts)


def test_the_commands(
    bytes_run: Run,
    pixels: np.ndarray,
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def use(*arguments: object) -> tuple[int, str]:
        code = main(list(map(str, arguments)), "")
        return code, "".join(capsys.readouterr())

    file, back = tmp_path / "x.aez", tmp_path / "back.npy"
    code, said = use("compress", bytes_run.folder, home / "pixels.npy", file, "--lossless")
    assert (code, f"300 samples in {file.stat().st_size} bytes" in said) == (0, True), said
    code, said = use("compress", bytes_run.folder, home / "pixels.npy", tmp_path / "x")
    assert (code, "x.aez: exists already" in said) == (1, True), said  # the ending is added
    assert use("decompress", bytes_run.folder, file, back)[0] == 0
    assert np.array_equal(np.load(back), pixels)
    assert use("decompress", bytes_run.folder, file, tmp_path / "folder", "--lossy")[0] == 0
    assert len(list((tmp_path / "folder").glob("*.png"))) == 300
    code, said = use("compress", bytes_run.folder, home / "pixels.npy", file)
    assert (code, "exists already" in said) == (1, True)
    file.write_bytes(file.read_bytes()[:-3])
    code, said = use("decompress", bytes_run.folder, file, tmp_path / "other.npy")
    assert (code, said.count("\n")) == (1, 1), said
    assert "x.aez: is damaged" in said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["back.npy", "folder", "x.aez"]
