"""A file or folder through a run into another, in bounded memory: what scripts/use.py does."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from activae.data.sources.files import files_below
from activae.data.sources.numbers import chosen_columns
from activae.data.sources.numpy_files import map_npy, read_numpy
from activae.data.sources.tables import ENDINGS as TABLES
from activae.errors import DataError
from activae.training.files import write_whole
from activae.use.forms import Pictures, give, pictures
from activae.use.given import Given, given, given_codes
from activae.use.writing import shows_images, writer

if TYPE_CHECKING:
    from activae.use.run import Run

SHEET_COLUMNS, SHEET_ROWS = 10, 4
SMALLEST_TILE = 48  # pixels: smaller images are enlarged by a whole number


def transform(
    run: Run,
    verb: str,
    source: Path,
    target: Path,
    at_a_time: int | None = None,
    tell: Callable[[int, int], None] = lambda done, rows: None,
) -> None:
    """Write what a verb (encode, decode, reconstruct, score) makes of a file or folder.

    The target is whole or not there; a folder holds a file for each of the source. tell: is called
    with the rows done and all rows. Raises DataError where the source does not fit the run, or its
    results the target's ending.
    """
    if target.exists() and target.resolve() == source.resolve():
        raise DataError(f"{target}: is INPUT too; give another OUTPUT")
    found = _codes(run, source) if verb == "decode" else given(run, source)
    if shows_images(target) and run.spec.is_image and verb in ("decode", "reconstruct"):
        found = replace(found, form=Pictures(run.spec.raw_range))
    folder = source if source.is_dir() else None
    with closing(writer(target, found.rows, verb, found.files, folder)) as out:
        for part in _parts(run, verb, found, at_a_time):
            out.add(part)
            tell(out.rows, found.rows)
        out.finish()


def check_sheet(run: Run, target: Path) -> None:
    """Raise DataError where the run's samples are no images, so that `write_sheet` would."""
    if not run.spec.is_image:
        raise DataError(
            f"--sheet={target}: is for runs on images, and this one has {run.spec.kind}s"
        )


def write_sheet(run: Run, source: Path, target: Path) -> None:
    """Write a PNG of the first images of a file or folder, each over its reconstruction.

    Raises DataError where the run's samples are no images.
    """
    check_sheet(run, target)
    found = given(run, source)
    if not found.rows:
        raise DataError(f"--sheet={target}: {source} has no samples to show")
    raw = found.raw(0, min(found.rows, SHEET_COLUMNS * SHEET_ROWS))
    normalised = run.normalisation(raw.to(run.device))
    again = run.from_network(run.reconstruct_normalised(normalised))
    shown = [pictures(each, run.spec.raw_range) for each in (raw, again)]
    content = io.BytesIO()
    _tiled(*shown).save(content, "png")
    write_whole(target, content.getvalue())


def check_samples(run: Run, target: Path) -> None:
    """Raise DataError where the target is to hold images, and the run's samples are none."""
    if shows_images(target) and not run.spec.is_image:
        raise DataError(
            f"{target}: is for images, which this run's samples are not; give .csv, or .npy where "
            "all of them are numbers"
        )


def write_samples(run: Run, made: Any, target: Path) -> None:
    """Write samples that a run made, by the ending; images in one PNG are a sheet."""
    if run.spec.is_image and target.suffix.lower() == ".png":
        content = io.BytesIO()
        _tiled(pictures(torch.from_numpy(made), run.spec.raw_range)).save(content, "png")
        write_whole(target, content.getvalue())
        return
    with closing(writer(target, len(made), "sample", [], None)) as out:
        out.add(made)
        out.finish()


def _parts(run: Run, verb: str, found: Given, at_a_time: int | None) -> Iterator[Any]:
    """Results in the like of what was given, part by part; at once where parts cannot be told."""
    if not found.form.streams:
        yield run.given_back(verb, found)
        return
    first = 0
    for part in run.parts(verb, found, at_a_time):
        yield give(verb, found.form.part(first), part)
        first += len(part)


def _codes(run: Run, source: Path) -> Given:
    """Codes that a file holds, or a folder with a file for each."""
    if not source.exists():
        raise DataError(f"{source}: there is no such file (looked in {Path.cwd()}).")
    if source.is_dir():
        files, _ = files_below(source, (".npy",))
        if not files:
            raise DataError(f"{source}: holds no codes (files ending in .npy).")
        found = given_codes(run, np.stack([np.array(map_npy(file)) for file in files]))
        return Given(found.rows, found.raw, found.form, files)
    ending = source.suffix.lower()
    if ending == ".npy":
        return given_codes(run, np.asarray(map_npy(source)))
    if ending == ".npz":
        return given_codes(run, read_numpy(source, None).train)
    if ending in TABLES:
        chosen = chosen_columns(source, None, has_settings=False)
        return given_codes(run, chosen.table.numbers(chosen.columns))
    raise DataError(f"{source}: unknown ending '{ending}'; give codes as .npy, .npz or a table.")


def _tiled(*parts: list[Any]) -> Any:
    """One image: rows of images, each over the one at its place in the next part."""
    from PIL import Image

    width, height = parts[0][0].size
    scale = max(1, -(-SMALLEST_TILE // max(width, height)))
    tile, gap = (width * scale, height * scale), 4
    count = len(parts[0])
    columns = min(max(SHEET_COLUMNS, isqrt(count)), count)
    rows = -(-count // columns)
    row_height = len(parts) * (tile[1] + gap) + gap
    sheet = Image.new("RGB", (columns * (tile[0] + gap) + gap, rows * row_height + gap), "white")
    for number, alike in enumerate(zip(*parts, strict=True)):
        row, column = divmod(number, columns)
        left, top = gap + column * (tile[0] + gap), gap + row * row_height
        for below, image in enumerate(alike):
            enlarged = image.resize(tile, Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left, top + below * (tile[1] + gap)))
    return sheet
