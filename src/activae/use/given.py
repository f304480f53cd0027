"""Recognising what a user hands in, and bringing it to raw samples as a run was trained on.

In: arrays, tensors, tables, pictures, texts, cells or the path of a file. Out: a `Given`, which
makes raw samples of some rows at a time, and knows the form that results are given back in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from activae.data.other_data import SampleTable
from activae.data.other_rows import (
    cell_rows,
    frame_cells,
    frame_columns,
    frame_numbers,
    text_rows,
    text_samples,
)
from activae.data.sources.cell_files import CellsOnDisk
from activae.data.sources.cells import Cells, Expression
from activae.data.sources.files import shortened
from activae.data.sources.numbers import Chosen
from activae.data.sources.tabular import ColumnFeatures
from activae.data.sources.texts import WordCounts
from activae.errors import DataError
from activae.use import arrays, images
from activae.use.forms import (
    Annotated,
    Arrays,
    CellTable,
    Form,
    Frames,
    Pictures,
    named_columns,
    words_and_numbers,
)
from activae.use.streams import InTurn, is_table

if TYPE_CHECKING:
    from activae.use.run import Run


@dataclass(frozen=True)
class Given:
    """What a user handed in: so many rows, of which `raw(first, last)` makes raw samples.

    files: where each row lies, if in a file of its own.
    """

    rows: int
    raw: Callable[[int, int], Tensor]
    form: Form
    files: Sequence[Path] = ()


def given(run: Run, x: Any) -> Given:
    """Recognise x, of whatever kind. Raises DataError that says what the run expects."""
    if isinstance(x, os.PathLike) or (isinstance(x, str) and not _is_text(run)):
        return _of_file(run, Path(x).expanduser())
    if is_table(x, "anndata"):
        return _of_cells(run, x)
    if is_table(x, "pandas"):
        return _of_frame(run, x)
    if images.is_picture(x) or (_is_list(x) and x and all(map(images.is_picture, x))):
        return _of_pictures(run, x)
    paths = os.PathLike if _is_text(run) else (os.PathLike, str)
    if _is_list(x) and x and all(isinstance(each, paths) for each in x):
        return _of_pictures(run, [Path(each).expanduser() for each in x])
    if _is_text(run):
        return _of_texts(run, x)
    return _of_array(run, x)


def expectation(run: Run) -> str:
    """What samples the run takes, in words."""
    prep = run.preparation
    if isinstance(prep, ColumnFeatures):
        parts = {"numbers": prep.numeric, "categories": prep.categorical}
        columns = "; ".join(f"{kind}: {shortened(names)}" for kind, names in parts.items() if names)
        return f"a pandas DataFrame, or a file, with the columns {columns}"
    if isinstance(prep, WordCounts):
        return f"texts: a list, a Series or a file of them (it knows {len(prep.features)} words)"
    if isinstance(prep, Expression):
        values = "log-normalised values" if prep.log_normalised else "counts"
        return f"cells: an AnnData, a DataFrame or a file with {values} of {len(prep.genes)} genes"
    return arrays.expectation(run.spec, arrays.declared_range(run))


def given_codes(run: Run, z: Any, sample_totals: Any = None) -> Given:
    """Codes that a user hands in; `raw` gives them as `with_totals` has them."""
    index = None
    if is_table(z, "pandas"):
        index, z = z.index, z.to_numpy()
    codes, single = arrays.codes(z, run.code_shape)
    sums = None if sample_totals is None else torch.as_tensor(sample_totals).reshape(-1)
    if sums is not None and len(sums) not in (1, len(codes)):
        raise DataError(f"{len(sums)} sample_totals were given with {len(codes)} codes.")
    rows = with_totals(codes.reshape(len(codes), -1), sums)
    device = codes.device if isinstance(z, Tensor) else None
    form = _form_of_decoded(run, index, device, single)
    return Given(len(rows), lambda a, b: rows[a:b], form)


def with_totals(codes: Tensor, sample_totals: Tensor | None) -> Tensor:
    """[N, k + 1]: codes [N, k], and each sample's total: one for all or [N]; None: 1."""
    sums = torch.ones(1) if sample_totals is None else sample_totals
    return torch.cat([codes, sums.to(codes).reshape(-1, 1).expand(len(codes), 1)], 1)


def _form_of_decoded(run: Run, index: Any, device: torch.device | None, single: bool) -> Form:
    if run.preparation is not None or (index is not None and len(run.spec.shape) == 1):
        return Frames(_table(run), index)
    bounds = arrays.declared_range(run)
    dtype = torch.uint8 if run.spec.is_image and bounds == arrays.BYTES else None
    return Arrays(dtype, device, bounds=bounds or arrays.BYTES, single=single)


def _is_text(run: Run) -> bool:
    return isinstance(run.preparation, WordCounts)


def _is_list(x: Any) -> bool:
    return isinstance(x, (list, tuple))


def _table(run: Run, order: Sequence[str] | None = None) -> Callable[[Tensor], dict[str, Any]]:
    """From raw samples to the columns that a run's features have by name."""
    prep = run.preparation
    if isinstance(prep, ColumnFeatures):
        return partial(words_and_numbers, prep, order or [*prep.numeric, *prep.categorical])
    names = prep.features if prep is not None else run.spec.features
    known = list(names or (f"x{number}" for number in range(run.spec.shape[0])))
    if order is None or not {*known} <= {*order}:
        return partial(named_columns, known)
    return lambda raw: {name: named_columns(known, raw)[name] for name in order if name in known}


def _of_array(run: Run, x: Any) -> Given:
    if run.preparation is not None:
        is_array = isinstance(x, np.ndarray)  # mapped from a file or not
        what = f"an array of shape {list(x.shape)}" if is_array else f"a {type(x).__name__}"
        raise DataError(f"{what} was given; the run expects {expectation(run)}.")
    bounds = arrays.declared_range(run)
    values = arrays.real(x, run.spec, bounds)
    layout = arrays.layout(values.shape, run.spec, bounds)
    dtype = arrays.dtype_back(values)
    device = values.device if isinstance(values, Tensor) else None
    form = Arrays(dtype, device, layout.back, bounds or arrays.BYTES, layout.single)
    rows = 1 if layout.single else len(values)

    def raw(first: int, last: int) -> Tensor:
        part = values[None] if layout.single else values[first:last]
        return arrays.checked(layout.forth(arrays.tensor(part)), run.spec, bounds)

    return Given(rows, raw, form)


def _of_frame(run: Run, frame: Any) -> Given:
    prep, source = run.preparation, run.config["data"]["source"]
    names = list(map(str, frame.columns))
    if isinstance(prep, WordCounts):
        return _of_texts(run, frame[_text_column(names, source)])
    if isinstance(prep, Expression):
        cells = frame_cells(frame, prep)
        form = Frames(partial(_expression(run, cells), first=0), frame.index, streams=False)
        return Given(len(frame), lambda a, b: prep.transform(cells[a:b]), form)
    form = Frames(_table(run, names), frame.index)
    if isinstance(prep, ColumnFeatures):

        def prepared(first: int, last: int) -> Tensor:
            return prep.transform(frame_columns(frame.iloc[first:last], source, prep))

        return Given(len(frame), prepared, form)
    bounds = arrays.declared_range(run)
    frame_numbers(frame[:0], source, run.spec)

    def numbers(first: int, last: int) -> Tensor:
        values = frame_numbers(frame.iloc[first:last], source, run.spec)
        return arrays.checked(arrays.tensor(values), run.spec, bounds)

    return Given(len(frame), numbers, form)


def _text_column(names: Sequence[str], source: Any) -> str:
    wanted = source.get("text_column") or "text"
    if wanted in names:
        return str(wanted)
    if len(names) == 1:
        return names[0]
    raise DataError(
        f"a DataFrame with the columns {shortened(names)} was given; the run expects texts in the "
        f"column {wanted}."
    )


def _of_texts(run: Run, x: Any) -> Given:
    prep = run.preparation
    assert isinstance(prep, WordCounts)
    is_series = type(x).__name__ == "Series" and hasattr(x, "index")
    single = isinstance(x, str)
    if not (single or is_series or _is_list(x) or isinstance(x, np.ndarray)):
        raise DataError(f"a {type(x).__name__} was given; the run expects {expectation(run)}.")
    texts = [x] if single else list(x)
    rows = text_rows(texts)
    form = Frames(_table(run), x.index if is_series else None, not is_series, single)
    return Given(len(texts), lambda a, b: text_samples(rows[a:b], prep), form)


def _of_cells(run: Run, cells: Any) -> Given:
    prep = run.preparation
    if not isinstance(prep, Expression):
        raise DataError(f"an AnnData was given; the run expects {expectation(run)}.")
    return of_cell_file(run, cell_rows(cells, run.config["data"]["source"]), cells.obs)


def of_cell_file(run: Run, cells: Cells | CellsOnDisk, obs: Any) -> Given:
    """Cells in memory or on disk, and the table of them, for a run on expression."""
    prep = run.preparation
    assert isinstance(prep, Expression)
    form = Annotated(obs, _expression(run, cells))
    return Given(len(cells), lambda a, b: prep.transform(cells[a:b]), form)


def _expression(run: Run, cells: Cells | CellsOnDisk) -> CellTable:
    """From raw samples, the first of which is so manieth, to genes by name.

    They are in the units that these cells came in, where there is a cell for each.
    """
    prep = run.preparation
    assert isinstance(prep, Expression)

    def table(raw: Tensor, *, first: int) -> dict[str, Any]:
        rows = cells[first : first + len(raw)]
        known = len(rows) == len(raw)
        back = prep.inverse_transform(raw.cpu(), prep.totals(rows)) if known else raw
        return named_columns(prep.features, back)

    return table


def _of_pictures(run: Run, x: Any) -> Given:
    single = images.is_picture(x)
    found = [x] if single else list(x)
    bounds = arrays.declared_range(run)
    if run.preparation is not None or not run.spec.is_image or bounds is None:
        raise DataError(f"pictures were given; the run expects {expectation(run)}.")
    read = images.reader(run.spec, run.config["data"]["source"], bounds)

    def raw(first: int, last: int) -> Tensor:
        return torch.stack([read(picture) for picture in found[first:last]])

    files = [each for each in found if isinstance(each, Path)]
    return Given(len(found), raw, Pictures(bounds, single), files)


def of_table(run: Run, table: SampleTable) -> Given:
    """A table in a file, of which the rows asked for are read; of vectors, tables come back."""
    bounds = arrays.declared_range(run)
    form: Form = Arrays() if run.spec.is_image else Frames(_table(run))
    rows = InTurn(table.walk)
    return Given(table.count(), lambda a, b: arrays.checked(rows(a, b), run.spec, bounds), form)


def of_numbers(run: Run, table: Chosen) -> Given:
    """Plain numbers in a table, as an array of them would be taken, but part by part."""
    rows = table.table.count()

    def walk() -> Callable[[int], Any]:
        take = table.table.walk()
        return lambda number: take(number).numbers(table.columns)

    head = walk()(1)
    if run.preparation is not None:
        raise DataError(f"{table.table.path}: holds numbers; the run expects {expectation(run)}.")
    bounds = arrays.declared_range(run)
    layout = arrays.layout((rows, *head.shape[1:]), run.spec, bounds)
    form = Arrays(arrays.dtype_back(head), None, layout.back, bounds or arrays.BYTES)
    values = InTurn(walk)

    def raw(first: int, last: int) -> Tensor:
        part = layout.forth(arrays.tensor(values(first, last)))
        return arrays.checked(part, run.spec, bounds)

    return Given(rows, raw, form)


def _of_file(run: Run, path: Path) -> Given:
    """What a file or folder holds, as an object in memory or mapped."""
    from activae.use.files import content

    found = content(run, path)
    return found if isinstance(found, Given) else given(run, found)
