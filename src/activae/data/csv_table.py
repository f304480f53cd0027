"""Numbers from a CSV file, with the cell named when one of them is none."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activae.errors import ConfigError, DataError

ENCODING = "utf-8-sig"  # UTF-8, with the mark that spreadsheets put in front or without it


@dataclass(frozen=True)
class _Layout:
    delimiter: str
    header: list[str] | None
    columns: int
    skipped_lines: int
    label: int | None  # index of the label column


def read_csv(
    path: Path, label_column: str | int | None
) -> tuple[NDArray[np.float64], NDArray[np.str_] | None]:
    """The numeric columns `[rows, columns]` and, where asked for, the label column as text.

    Columns are separated by a comma, or by semicolons or tabs where the first line has any. The
    first line is a header if a cell in it, labels apart, is no number, or if it counts its
    columns (0, 1, 2, ...), as pandas writes when they have no names.

    Args:
        path: the file, UTF-8.
        label_column: its name, or its index from 0 (-1: the last), or None.

    Raises:
        ConfigError: there is no such label column.
        DataError: no rows, ragged rows, a cell that is no number, not text.
    """
    try:
        layout = _read_layout(path, label_column)
        values = _load(path, layout)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8 ({error.reason}); save it so.") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a table of numbers: {error}.") from error
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
    return np.delete(values, layout.label, axis=1), labels


def _read_layout(path: Path, label_column: str | int | None) -> _Layout:
    with path.open(encoding=ENCODING, newline="") as file:
        lines = enumerate(file)
        number, first = next(((n, line) for n, line in lines if line.strip()), (0, ""))
        if not first:
            raise DataError(f"{path} is empty; it should hold one sample a line.")
        has_more = any(line.strip() for _, line in lines)
    delimiter = next((mark for mark in ";\t" if mark in first), ",")
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
    header = cells if _is_header(cells, label_column) else None
    if header and not has_more:
        raise DataError(f"{path} has a header but no samples below it.")
    if header and header[0] == "":
        raise DataError(
            f"{path}: the first column has no name, so it is probably a row index, which is no "
            "feature. Write the file without it (pandas: to_csv(path, index=False))."
        )
    return _Layout(
        delimiter=delimiter,
        header=header,
        columns=len(cells),
        skipped_lines=number + (1 if header else 0),
        label=_label_index(path, cells, header, label_column),
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


def _label_index(
    path: Path, cells: list[str], header: list[str] | None, label_column: str | int | None
) -> int | None:
    if label_column is None:
        return None
    if isinstance(label_column, str):
        if label_column not in cells:
            raise ConfigError(
                f"data.source.label_column={label_column}: {path} has no such column; its first "
                f"line has {_shortened(cells)}."
            )
        index = cells.index(label_column)
    else:
        if not -len(cells) <= label_column < len(cells):
            raise ConfigError(
                f"data.source.label_column={label_column}: {path} has {len(cells)} columns; "
                "count from 0, or from the end with -1."
            )
        index = label_column % len(cells)
    if len(cells) == 1:
        raise DataError(f"{path} has a label column and no other: there is nothing to train on.")
    return index


def _load(path: Path, layout: _Layout) -> NDArray[np.float64]:
    # A placeholder for the labels keeps numpy's check that all rows are equally long.
    converters: dict[int | str, Callable[[str], float]] = {}
    if layout.label is not None:
        converters[layout.label] = lambda text: 0.0
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
                if column != layout.label and not _is_number(cell):
                    return _describe_cell(path, line, column, cell, layout)
    return None


def _describe_cell(path: Path, line: int, column: int, cell: str, layout: _Layout) -> str:
    name = f" ({layout.header[column]})" if layout.header else ""
    fault = f"'{cell}' is not a number" if cell.strip() else "the cell is empty"
    return (
        f"{path}, line {line}, column {column + 1}{name}: {fault}. Remove the column, fill the "
        "gap, or name the column in data.source.label_column if it holds labels."
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _shortened(names: list[str], most: int = 10) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} columns)"
