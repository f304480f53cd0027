"""scripts/use.py: files and folders through a run, whole or not at all, mistakes in one message."""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from activae.cli.use import main
from activae.use import transforming
from activae.use.run import Run


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it said."""

    code: int
    said: str


UsePy = Callable[..., Outcome]


@pytest.fixture
def use_py(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> UsePy:
    """`use_py(*arguments)`: what `python scripts/use.py ...` does in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            code = main(list(map(str, arguments)), "Put a finished run to work.")
        except SystemExit as end:
            code = int(end.code or 0)
        return Outcome(code, "".join(capsys.readouterr()))

    return run


@pytest.fixture
def x(images: np.ndarray, tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", images[:30])
    return tmp_path / "x.npy"


@pytest.fixture
def photos(images: np.ndarray, tmp_path: Path) -> Path:
    """A folder with pictures in it and below it."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, image in zip(("b.png", "a10.png", "more/a2.bmp"), images, strict=False):
        Image.fromarray((image * 255 / 16).round().astype(np.uint8)).save(folder / name)
    return folder


def read(file: Path) -> np.ndarray:
    if file.suffix == ".npz":
        return np.array(np.load(file)["data"])
    if file.suffix == ".npy":
        return np.array(np.load(file))
    frame = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    return frame.to_numpy()


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "parquet"])
@pytest.mark.parametrize("size", [None, 7])
def test_arrays_are_written_by_the_ending_whatever_the_batch_size(
    ending: str, size: int | None, use_py: UsePy, digits: Run, images: np.ndarray, x: Path
) -> None:
    few = () if size is None else ("--batch-size", size)
    for verb in ("encode", "reconstruct", "score"):
        file = x.parent / f"{verb}.{ending}"

        assert use_py(verb, digits.folder, "x.npy", file, *few) == Outcome(0, "")

        expected = getattr(digits, verb)(images[:30])
        found = read(file)
        assert np.allclose(found.reshape(expected.shape), expected, rtol=1e-6)
        assert ending == "csv" or np.array_equal(found.reshape(expected.shape), expected)
    codes, again = x.parent / f"encode.{ending}", x.parent / f"decoded.{ending}"
    assert use_py("decode", digits.folder, codes, again, *few).code == 0
    assert np.allclose(read(again).reshape(30, 8, 8), digits.reconstruct(images[:30]), atol=1e-4)


def test_a_folder_mirrors_a_folder(use_py: UsePy, digits: Run, photos: Path) -> None:
    home = photos.parent
    assert use_py("reconstruct", digits.folder, "photos", "again").code == 0
    assert use_py("encode", digits.folder, "photos", "codes").code == 0
    assert use_py("decode", digits.folder, "codes", "decoded").code == 0

    names = {"b.png", "a10.png", "more/a2.png"}
    for folder in ("again", "decoded"):
        files = [file for file in (home / folder).rglob("*") if file.is_file()]
        assert {str(file.relative_to(home / folder)) for file in files} == names
    for name in names:
        assert (home / "again" / name).read_bytes() == (home / "decoded" / name).read_bytes()
    code = np.load(home / "codes/more/a2.npy")
    assert np.array_equal(code, digits.encode(Image.open(photos / "more/a2.bmp")))


def test_pictures_of_one_name_do_not_overwrite_each_other(
    use_py: UsePy, digits: Run, photos: Path
) -> None:
    Image.new("L", (8, 8)).save(photos / "b.bmp")

    use_py("reconstruct", digits.folder, "photos", "again")

    names = sorted(file.name for file in (photos.parent / "again").iterdir())
    assert names == ["a10.png", "b.bmp.png", "b.png.png", "more"]


def test_rows_of_a_folder_keep_the_names_of_their_files(
    use_py: UsePy, digits: Run, photos: Path
) -> None:
    use_py("score", digits.folder, "photos", "scores.csv")

    table = pd.read_csv(photos.parent / "scores.csv")
    assert list(table["file"]) == ["a10.png", "b.png", "more/a2.bmp"]
    pictures = [Image.open(photos / name) for name in table["file"]]
    assert np.allclose(table["SE"], digits.score(pictures))


def test_one_picture_gives_one_picture(use_py: UsePy, digits: Run, photos: Path) -> None:
    assert use_py("reconstruct", digits.folder, "photos/b.png", "again.png").code == 0

    with Image.open(photos.parent / "again.png") as again:
        assert (again.size, again.mode) == ((8, 8), "L")
    outcome = use_py("reconstruct", digits.folder, "photos", "again.jpg")
    assert outcome == Outcome(
        1,
        "error: again.jpg: is one image, and there are 3; give a folder (a name without an "
        "ending), or .npy\n",
    )


def test_a_sheet_shows_originals_over_reconstructions(
    use_py: UsePy, digits: Run, images: np.ndarray, x: Path
) -> None:
    use_py("reconstruct", digits.folder, "x.npy", "again.npy", "--sheet", "sheet.png")

    with Image.open(x.parent / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("L"), dtype=float)
    assert pixels.shape == (3 * (2 * 48 + 12) + 4, 10 * 52 + 4)
    first = pixels[4 : 4 + 48 : 6, 4 : 4 + 48 : 6] * 16 / 255
    below = pixels[56 : 56 + 48 : 6, 4 : 4 + 48 : 6] * 16 / 255
    assert np.allclose(first, images[0], atol=0.05)
    assert np.allclose(below, digits.reconstruct(images[0]).clip(0, 16), atol=0.05)


def test_tables_come_out_as_tables(
    use_py: UsePy, table_run: Run, table: pd.DataFrame, home: Path, tmp_path: Path
) -> None:
    assert use_py("reconstruct", table_run.folder, home / "table.csv", "again.csv").code == 0

    again = pd.read_csv(tmp_path / "again.csv")
    assert set(again["city"]) <= {"Oslo", "Rome"}
    assert np.allclose(again["mass"], table_run.reconstruct(table)["mass"])
    outcome = use_py("reconstruct", table_run.folder, home / "table.csv", "again.npy")
    assert outcome.code == 1
    assert "have words in them: give OUTPUT as .csv or .parquet" in outcome.said


def test_texts_come_from_folders_and_files(
    use_py: UsePy, text_run: Run, texts: list[str], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "letters").mkdir()
    for number, text in enumerate(texts[:3]):
        (tmp_path / "letters" / f"{number}.txt").write_text(text)

    assert use_py("encode", text_run.folder, "letters", "codes.npy").code == 0
    assert use_py("score", text_run.folder, home / "texts.txt", "scores.npy").code == 0

    assert np.array_equal(np.load(tmp_path / "codes.npy"), text_run.encode(texts[:3]))
    assert np.array_equal(np.load(tmp_path / "scores.npy"), text_run.score(texts))


def test_what_exists_is_overwritten_only_by_force(use_py: UsePy, digits: Run, x: Path) -> None:
    (x.parent / "out.npy").write_text("precious")

    outcome = use_py("encode", digits.folder, "x.npy", "out.npy")

    assert outcome == Outcome(
        1, "error: out.npy: exists already; give another name, or --force to overwrite it\n"
    )
    assert (x.parent / "out.npy").read_text() == "precious"
    assert use_py("encode", digits.folder, "x.npy", "out.npy", "--force").code == 0
    assert np.load(x.parent / "out.npy").shape == (30, 8)
    outcome = use_py("reconstruct", digits.folder, "x.npy", "x.npy", "--force")
    assert outcome.said == "error: x.npy: is INPUT too; give another OUTPUT\n"
    assert np.load(x).shape == (30, 8, 8)


def test_a_file_is_written_whole_or_not_at_all(
    use_py: UsePy, digits: Run, images: np.ndarray, tmp_path: Path
) -> None:
    bad = images[:30].copy()
    bad[25] = np.nan
    np.save(tmp_path / "bad.npy", bad)

    for ending in ("npy", "npz", "csv", "parquet"):
        outcome = use_py("encode", digits.folder, "bad.npy", f"out.{ending}", "--batch-size", 10)
        assert outcome.code == 1
        assert outcome.said.startswith("error: 64 of 640 values given are NaN")
    assert [file.name for file in tmp_path.iterdir()] == ["bad.npy"]


def test_ctrl_c_leaves_nothing_behind(
    use_py: UsePy, digits: Run, x: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(transforming, "give", interrupted)

    assert use_py("encode", digits.folder, "x.npy", "out.npy") == Outcome(130, "interrupted\n")
    assert [file.name for file in x.parent.iterdir()] == ["x.npy"]


def test_a_folder_is_written_whole_or_not_at_all(
    use_py: UsePy, digits: Run, x: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (x.parent / "known").mkdir()
    (x.parent / "known" / "mine.txt").write_text("mine")
    (x.parent / "known" / "00.npy").write_text("older")
    before = sorted(x.parent.rglob("*"))
    parts = Run.parts

    def interrupted(self: Run, *arguments: Any) -> Any:
        yield next(parts(self, *arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "parts", interrupted)
    for target in ("new", "known"):
        found = use_py("encode", digits.folder, x, target, "--batch-size", 7, "--force")
        assert found.code == 130
        assert sorted(x.parent.rglob("*")) == before
    monkeypatch.undo()
    monkeypatch.chdir(x.parent)

    assert use_py("encode", digits.folder, x, "known", "--force").code == 0

    files = {file.name: file for file in (x.parent / "known").iterdir()}
    assert sorted(files) == [*(f"{n:02d}.npy" for n in range(30)), "mine.txt"]
    assert np.array_equal(np.load(files["00.npy"]), digits.encode(np.load(x))[0])


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        ("again.npy", "--sheet=again.npy: a sheet is a PNG; give a name that ends in .png"),
        ("sheet.jpg", "--sheet=sheet.jpg: a sheet is a PNG; give a name that ends in .png"),
        ("again.png", "--sheet=again.png: is INPUT or OUTPUT too; give another name"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused_before_anything_is_written(
    use_py: UsePy, digits: Run, table_run: Run, x: Path, sheet: str, said: str
) -> None:
    output = "again.png" if sheet == "again.png" else "again.npy"
    found = use_py("reconstruct", digits.folder, x, output, "--sheet", sheet)
    assert (found.code, found.said) == (1, f"error: {said}\n")
    found = use_py("reconstruct", table_run.folder, x, "again.csv", "--sheet", "s.png")
    assert (found.code, "is for runs on images" in found.said) == (1, True)
    assert [file.name for file in x.parent.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "parquet", "h5ad"])
@pytest.mark.parametrize("verb", ["encode", "reconstruct", "score"])
def test_no_samples_give_a_file_of_none(
    use_py: UsePy, digits: Run, images: np.ndarray, tmp_path: Path, verb: str, ending: str
) -> None:
    np.save(tmp_path / "none.npy", images[:0])
    found = use_py(verb, digits.folder, "none.npy", f"out.{ending}")
    assert (found.code, found.said) == (0, "")
    if ending != "h5ad":
        assert len(read(tmp_path / f"out.{ending}")) == 0


def test_a_sheet_of_no_samples_is_refused(
    use_py: UsePy, digits: Run, images: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "none.npy", images[:0])
    found = use_py("reconstruct", digits.folder, "none.npy", "out.npy", "--sheet", "s.png")
    assert (found.code, found.said) == (
        1,
        "error: --sheet=s.png: none.npy has no samples to show\n",
    )


def test_a_place_that_cannot_be_written_is_named(use_py: UsePy, digits: Run, x: Path) -> None:
    for place in ("/proc/x.npy", "/proc/folder"):
        found = use_py("encode", digits.folder, x, place)
        assert (found.code, found.said) == (1, f"error: {place}: No such file or directory\n")


def test_a_file_is_not_taken_for_a_folder(use_py: UsePy, digits: Run, x: Path) -> None:
    (x.parent / "notes").write_text("mine")
    found = use_py("encode", digits.folder, x, "notes", "--force")
    assert (found.code, "notes: is no folder, which a name without" in found.said) == (1, True)
    assert (x.parent / "notes").read_text() == "mine"


def test_an_ending_of_another_kind_is_told_beside_what_the_run_expects(
    use_py: UsePy, digits: Run, table_run: Run, x: Path
) -> None:
    (x.parent / "cells.h5ad").write_text("cells")
    found = use_py("score", digits.folder, "cells.h5ad", "out.csv")
    wanted = "cells.h5ad: unknown ending '.h5ad'; give .npy, .npz, .csv"
    assert (found.code, wanted in found.said, "expects images" in found.said) == (1, True, True)
    found = use_py("score", table_run.folder, "cells.h5ad", "out.csv")
    assert "ending '.h5ad'; give .csv" in found.said
    assert "the columns numbers: " in found.said


def test_progress_is_shown_on_a_terminal(
    use_py: UsePy, digits: Run, x: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    outcome = use_py("encode", digits.folder, "x.npy", "out.npy", "--batch-size", 20)

    assert outcome.said == "\rencode 20 of 30 samples\rencode 30 of 30 samples\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("encode", "none", "x.npy", "o.npy"), "none: is not a folder; give one that holds runs"),
        (("encode", "RUN", "none.npy", "o.npy"), "none.npy: there is no such file"),
        (("encode", "RUN", "x.npy", "o.xyz"), "o.xyz: unknown ending '.xyz'; give .npy, "),
        (("encode", "RUN", "x.npy", "no/o.npy"), "no/o.npy: there is no folder no; make it first"),
        (("score", "RUN", "x.npy", "scores"), "scores: a folder holds no scores"),
        (("decode", "RUN", "x.npy", "o.npy"), "the run expects codes [N, 8]"),
        (("encode", "RUN", "x.npy", "o.npy", "--device", "toaster"), "device=toaster"),
        (("compress", "RUN", "x.npy", "o.zip"), "o.zip: what is written ends in .aez"),
    ],
)
def test_a_mistake_is_one_message(
    arguments: tuple[str, ...], said: str, use_py: UsePy, digits: Run, x: Path
) -> None:
    named = [digits.folder if each == "RUN" else each for each in arguments]

    outcome = use_py(*named)

    assert outcome.code == 1
    assert outcome.said.startswith("error: ")
    assert said in outcome.said
    assert outcome.said.count("\n") == 1
    assert [file.name for file in x.parent.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("verb", ["encode", "decode", "reconstruct", "score"])
def test_each_verb_has_its_help(verb: str, use_py: UsePy) -> None:
    outcome = use_py(verb, "--help")

    assert outcome.code == 0
    for word in ("RUN", "INPUT", "OUTPUT", "--batch-size", "--device", "--force"):
        assert word in outcome.said


def test_help_imports_nothing_heavy(python: Callable[..., Any], use_py: UsePy) -> None:
    code = (
        "import sys; from activae.cli.use import main\n"
        "try: main(['--help'], '')\nexcept SystemExit: pass\n"
        "print({'torch', 'numpy', 'hydra', 'pandas'} & set(sys.modules))"
    )
    assert python("-c", code).stdout.rstrip().endswith("set()")


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it has side x side pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_picture_that_would_fill_the_memory_is_refused(
    side: int, use_py: UsePy, digits: Run, tmp_path: Path
) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb(side))

    outcome = use_py("encode", digits.folder, "bomb.png", "out.npy")

    assert outcome.code == 1
    assert "bomb.png: cannot be read: Image size" in outcome.said
    assert outcome.said.count("\n") == 1


def test_objects_in_a_file_are_not_unpickled(use_py: UsePy, digits: Run, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return Path.touch, (tmp_path / "ran",)

    np.savez(tmp_path / "evil.npz", data=np.array([Evil()], dtype=object))
    np.save(tmp_path / "evil.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    for name in ("evil.npz", "evil.npy"):
        for verb in ("encode", "decode"):
            outcome = use_py(verb, digits.folder, name, "out.npy")
            assert outcome.code == 1
            assert f"{name} does not hold plain arrays" in outcome.said
    assert not (tmp_path / "ran").exists()


def test_an_archive_that_would_fill_the_memory_is_refused(
    use_py: UsePy, digits: Run, tmp_path: Path
) -> None:
    header = str({"descr": "<f8", "fortran_order": False, "shape": (10**12, 64)}).encode()
    header += b" " * (118 - len(header) - 1) + b"\n"
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("data.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)

    outcome = use_py("encode", digits.folder, "bomb.npz", "out.npy")

    assert outcome.code == 1
    assert outcome.said.startswith("error: bomb.npz")
    assert "Traceback" not in outcome.said
