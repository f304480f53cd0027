"""Numbers from a CSV file, with the cell named when one of them is none."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activae.data.sources.table import column_indices, label_index
from activae.errors import DataError

ENCODING = "utf-8-sig"  # UTF-8, with the mark that spreadsheets put in front or without it


@dataclass(frozen=True)
class _Layout:
    delimiter: str
    header: list[str] | None
    columns: int
    skipped_lines: int
    label: int | None  # index of the label column
    features: list[int]  # indices of the columns that are taken


def read_csv(
    path: Path, label_column: str | int | None, columns: Sequence[str] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.str_] | None]:
    """The numeric columns `[rows, columns]` and, where asked for, the label column as text.

    Columns are separated by a comma, or by semicolons or tabs where the first line has any. The
    first line is a header if a cell in it, labels apart, is no number, or if it counts its
    columns (0, 1, 2, ...), as pandas writes when they have no names.

    Args:
        path: the file, UTF-8.
        label_column: its name, or its index from 0 (-1: the last), or None.
        columns: the names of the columns to take, in this order; None: all others.

    Raises:
        ConfigError: there is no such column.
        DataError: no rows, ragged rows, a cell that is no number, not text.
    """
    try:
        layout = _read_layout(path, label_column, columns)
        values = _load(path, layout)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8 ({error.reason}); save it so.") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a table of numbers: {error}.") from error
    values = values[:, layout.features]
    if layout.label is None:
        return values, None
    labels = np.loadtxt(
        path,
        dtype=str,
        delimiter=layout.delimiter,
        skiprows=layout.skipped_lines,
        usecols=[layout.label],
        comments=None,
        quotechar='"',
        encoding=ENCODING,
        ndmin=1,
    )
    return values, labels


def _read_layout(
    path: Path, label_column: str | int | None, columns: Sequence[str] | None
) -> _Layout:
    with path.open(encoding=ENCODING, newline="") as file:
        lines = enumerate(file)
        number, first = next(((n, line) for n, line in lines if line.strip()), (0, ""))
        if not first:
            raise DataError(f"{path} is empty; it should hold one sample a line.")
        has_more = any(line.strip() for _, line in lines)
    delimiter = next((mark for mark in ";\t" if mark in first), ",")
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
    header = cells if columns is not None or _is_header(cells, label_column) else None
    if header and not has_more:
        raise DataError(f"{path} has a header but no samples below it.")
    if columns is None and header and header[0] == "":
        raise DataError(
            f"{path}: the first column has no name, so it is probably a row index, which is no "
            "feature. Write the file without it (pandas: to_csv(path, index=False))."
        )
    label = label_index(path, cells, label_column, columns)
    if columns is None:
        features = [index for index in range(len(cells)) if index != label]
    else:
        features = column_indices(path, cells, columns)
    return _Layout(
        delimiter=delimiter,
        header=header,
        columns=len(cells),
        skipped_lines=number + (1 if header else 0),
        label=label,
        features=features,
    )


def _is_header(cells: list[str], label_column: str | int | None) -> bool:
    if isinstance(label_column, str):
        return True  # only a header can give the column its name
    if len(cells) > 1 and cells == [str(number) for number in range(len(cells))]:
        return True
    features = list(cells)
    if label_column is not None and -len(cells) <= label_column < len(cells):
        del features[label_column]
    return not all(_is_number(cell) for cell in features)


def _load(path: Path, layout: _Layout) -> NDArray[np.float64]:
    # A placeholder for what is not taken keeps numpy's check that all rows are equally long.
    taken = set(layout.features)
    converters: dict[int | str, Callable[[str], float]] = {
        index: lambda text: 0.0 for index in range(layout.columns) if index not in taken
    }
    try:
        return np.loadtxt(
            path,
            delimiter=layout.delimiter,
            skiprows=layout.skipped_lines,
            converters=converters,
            comments=None,
            quotechar='"',
            encoding=ENCODING,
            ndmin=2,
        )
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise DataError(_find_fault(path, layout) or f"{path}: {error}") from error


def _find_fault(path: Path, layout: _Layout) -> str | None:
    """Read again, slowly, for the line and the column of the first cell that does not fit."""
    with path.open(encoding=ENCODING, newline="") as file:
        for _ in range(layout.skipped_lines):
            next(file)
        reader = csv.reader(file, delimiter=layout.delimiter)
        for row in reader:
            line = layout.skipped_lines + reader.line_num
            if row and len(row) != layout.columns:
                return (
                    f"{path}, line {line}: {len(row)} columns, but the first line has "
                    f"{layout.columns}."
                )
            for column, cell in enumerate(row):
                if column in layout.features and not _is_number(cell):
                    return _describe_cell(path, line, column, cell, layout)
    return None


def _describe_cell(path: Path, line: int, column: int, cell: str, layout: _Layout) -> str:
    name = f" ({layout.header[column]})" if layout.header else ""
    fault = f"'{cell}' is not a number" if cell.strip() else "the cell is empty"
    return (
        f"{path}, line {line}, column {column + 1}{name}: {fault}. Remove the column, fill the "
        "gap, name the column in data.source.label_column if it holds labels, or choose others "
        "with data.source.columns=[...]."
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
