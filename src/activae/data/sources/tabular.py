"""Tables with columns of mixed types."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from activae.data.preparation import Unprepared
from activae.data.sources.columns import MISSING, ColumnFeatures, Columns
from activae.data.sources.files import existing_file
from activae.data.sources.label_codes import encoded
from activae.data.sources.parquet import needs_pyarrow
from activae.data.sources.text_table import read_text_table, shortened
from activae.errors import ConfigError, DataError

ENDINGS = (".csv", ".parquet")
GAPS = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})  # in any case
# A column with more numbers than this is likely meant to be one, whatever else it holds.
MOSTLY_NUMBERS = 0.9


class _Cells(NamedTuple):
    """A table as text, column by column; None is a gap; `lines` says where each row stands."""

    names: list[str]
    columns: list[list[str | None]]
    lines: list[str]


def tabular(
    path: str | Path,
    numeric: Sequence[str] | None = None,
    categorical: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    label_column: str | None = None,
    min_frequency: float = 0.01,
    encoding: str = "utf-8-sig",
) -> Unprepared:
    """A table from a `.csv` file, whose first line names the columns, or a `.parquet` file.

    A column in which every cell that is not a gap is a number is numeric, any other categorical;
    one of numbers with a few other cells is refused. `numeric` and `categorical` decide instead.
    Gaps are empty cells, NA, N/A, NaN, null, None and ?. What is made of the columns is learnt from
    the training split alone (`ColumnFeatures`).

    Args:
        path: the file.
        numeric: columns that are numbers; a cell that is none is an error.
        categorical: columns that are categories, such as codes written as numbers.
        drop: columns to leave out.
        label_column: holds labels, which colour plots and are never trained on.
        min_frequency: share of the training rows below which a category counts as rare.
        encoding: of a CSV file; utf-8-sig is UTF-8 with or without a mark in front.

    Raises:
        ConfigError: a setting of no sense, or a column that the file does not have.
        DataError: the file cannot be read as a table, or a few cells of a column are no numbers.
    """
    preparation = partial(ColumnFeatures, min_frequency=min_frequency)
    preparation()  # refuses its setting before a long reading
    file = existing_file(path, ENDINGS)
    cells = _read(file, encoding)
    kinds = {"numeric": numeric, "categorical": categorical, "drop": drop}
    if label_column is not None:
        kinds["label_column"] = [label_column]
    _check_names(file, cells.names, kinds)
    found = [] if label_column is None else cells.columns[cells.names.index(label_column)]
    labels, names = encoded([MISSING if cell is None else cell for cell in found])
    return Unprepared(
        name=str(file),
        train=_columns(file, cells, kinds),
        preparation=preparation,
        train_labels=labels,
        class_names=names,
    )


def _read(file: Path, encoding: str) -> _Cells:
    if file.suffix.lower() == ".parquet":
        return _read_parquet(file)
    table = read_text_table(file, encoding)
    columns = [
        [None if cell.lower() in GAPS else cell for cell in column]
        for column in zip(*table.rows, strict=True)
    ]
    return _Cells(table.header, columns, [f"line {line}" for line in table.lines])


def _read_parquet(file: Path) -> _Cells:
    needs_pyarrow(file)
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(file)
    except (ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read as parquet: {error}") from error
    if not len(table):
        raise DataError(f"{file} has no rows.")
    columns = [[_as_text(v) for v in column.to_pylist()] for column in table.columns]
    return _Cells(table.column_names, columns, [f"row {number}" for number in range(len(table))])


def _as_text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    # repr gives back the very number; of a Boolean it gives a category
    return repr(value) if isinstance(value, float) else str(value)


def _check_names(file: Path, names: list[str], kinds: dict[str, Sequence[str] | None]) -> None:
    seen: dict[str, str] = {}
    for kind, wanted in kinds.items():
        key = f"data.source.{kind}"
        for name in wanted or ():
            if name not in names:
                raise ConfigError(
                    f"{key}={name}: {file} has no such column; it has {shortened(names)}."
                )
            if name in seen:
                raise ConfigError(f"{key}={name}: this column is in {seen[name]} already.")
            seen[name] = key


def _columns(file: Path, cells: _Cells, kinds: dict[str, Sequence[str] | None]) -> Columns:
    left_out = {*(kinds["drop"] or ()), *(kinds.get("label_column") or ())}
    numbers: dict[str, list[float]] = {}
    categories: dict[str, list[str]] = {}
    for name, column in zip(cells.names, cells.columns, strict=True):
        if name in left_out:
            continue
        if _is_numeric(file, cells, name, column, kinds):
            numbers[name] = [math.nan if cell is None else float(cell) for cell in column]
        else:
            categories[name] = [MISSING if cell is None else cell for cell in column]
    if not numbers and not categories:
        raise DataError(f"{file}: no column is left to train on.")
    rows = len(cells.lines)
    return Columns(
        list(numbers),
        np.array(list(numbers.values()), dtype=np.float64).reshape(-1, rows).T,
        list(categories),
        np.array(list(categories.values()), dtype=object).reshape(-1, rows).T,
    )


def _is_numeric(
    file: Path,
    cells: _Cells,
    name: str,
    column: list[str | None],
    kinds: dict[str, Sequence[str] | None],
) -> bool:
    """Whether a column is numbers. Raises DataError where it has a cell that it should not."""
    if name in (kinds["categorical"] or ()):
        return False
    full = [place for place, cell in enumerate(column) if cell is not None]
    bad = [place for place in full if not _is_number(column[place])]
    is_said_to_be = name in (kinds["numeric"] or ())
    if bad and (is_said_to_be or len(bad) < (1 - MOSTLY_NUMBERS) * len(full)):
        remedy = (
            f"take {name} out of data.source.numeric"
            if is_said_to_be
            else f"say that they are categories, data.source.categorical=[{name}]"
        )
        raise DataError(
            f"{file}, {cells.lines[bad[0]]}, column '{name}': '{column[bad[0]]}' is no number, but "
            f"{len(full) - len(bad)} of {len(full)} cells are. Correct or empty such cells, or "
            f"{remedy}."
        )
    return not bad


def _is_number(cell: str | None) -> bool:
    try:
        return math.isfinite(float(cell or ""))
    except ValueError:
        return False
