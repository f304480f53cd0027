"""Tables of numbers alone: which columns are taken, and whether the first line names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.config.wording import did_you_mean
from activae.data.sources.csv_table import CsvTable
from activae.data.sources.files import shortened
from activae.data.sources.hints import text_labels
from activae.data.sources.table import Table, is_number, number
from activae.data.sources.tables import open_table
from activae.errors import ConfigError, DataError

Array = NDArray[Any]


def read_numbers(
    path: Path, label_column: str | int | None, columns: Sequence[str] | None = None
) -> tuple[Array, Array | None, tuple[str, ...] | None]:
    """The chosen columns as numbers [rows, columns], the labels [rows] if asked for, their names.

    The names are None where the file has no header. A single column of text that is called as
    labels are is read as labels where neither they nor columns are given.

    Args:
        path: the file; a CSV file in UTF-8, with a header or without.
        label_column: its name, or its index from 0 (-1: the last), or None.
        columns: the names of the columns to take, in this order; None: all others.

    Raises:
        ConfigError: there is no such column, or pyarrow is not installed.
        DataError: no rows, ragged rows, a cell that is no number, a damaged file.
    """
    found = chosen_columns(path, label_column, columns)
    table, label = found.table, found.label
    labels = None if label is None else table.labels(label)
    return table.numbers(found.columns), labels, found.features


@dataclass(frozen=True)
class Chosen:
    """Columns of a table of numbers, by their index, and that of the labels if there are any."""

    table: Table
    columns: list[int]
    label: int | None

    @property
    def features(self) -> tuple[str, ...] | None:
        """The columns' names; None where the file has no header."""
        if not self.table.has_header:
            return None
        return tuple(self.table.names[index] for index in self.columns)


def chosen_columns(
    path: Path,
    label_column: str | int | None,
    columns: Sequence[str] | None = None,
    *,
    has_settings: bool = True,
) -> Chosen:
    """The columns that `read_numbers` reads; arguments and errors are its own.

    has_settings: whether messages may name keys of data.source.
    """
    table = open_table(
        path,
        has_header=lambda cells: columns is not None or _is_header(cells, label_column),
        has_settings=has_settings,
    )
    names, label = table.names, text_labels(table) if columns is None else None
    if label_column is not None:
        label = table.index("data.source.label_column", label_column)
        if columns is not None and names[label] in columns:
            raise ConfigError(
                f"data.source.columns: {names[label]}: holds the labels (data.source."
                "label_column), which are never trained on; leave it out of one of the two."
            )
        if len(names) == 1:
            raise DataError(
                f"{path} has a label column and no other: there is nothing to train on."
            )
    if columns is None:
        choose = "choose others with data.source.columns=[...]" if has_settings else "remove it"
        table.refuse_row_index(remedy=choose)
        chosen = [index for index in range(len(names)) if index != label]
        table.refuse_double_names(chosen)
        _refuse_doubtful_names(table, chosen)
    else:
        chosen = column_indices(path, names, columns)
    return Chosen(table, chosen, label)


def _is_header(cells: list[str], label_column: str | int | None) -> bool:
    """Whether the first line names the columns.

    It does where a cell, labels apart, is no number, or where it counts the columns (0, 1, 2, ...),
    as pandas writes those that have no names.
    """
    if isinstance(label_column, str):
        return True  # only a header can give the column its name
    if len(cells) > 1 and cells == [str(number) for number in range(len(cells))]:
        return True
    features = list(cells)
    if label_column is not None and -len(cells) <= label_column < len(cells):
        del features[label_column]
    return not all(map(is_number, features))


def _refuse_doubtful_names(table: Table, features: Sequence[int]) -> None:
    """Raise DataError where the first line, read as a sample, may well be the names of columns.

    It may where it is evenly spaced numbers, such as wavelengths, and the next line is not; or
    where it counts from 0 or 1, and the next line holds fractions.
    """
    second = table.second if isinstance(table, CsvTable) else None
    if table.has_header or second is None or len(second) != len(table.names):
        return
    names, cells = ([row[column].strip() for column in features] for row in (table.names, second))
    counted = [[str(n + start) for n in range(len(names))] for start in (0, 1)]
    if not all(map(is_number, [*names, *cells])):
        return
    counts = names in counted and not all(number(cell).is_integer() for cell in cells)
    if not counts and (not _spacing(names) or _spacing(cells)):
        return
    shown = shortened(table.names, 3)
    listed = (
        ' or list them all: \'data.source.columns=["1","2",...]\'' if table.has_settings else ""
    )
    raise DataError(
        f"{table.path}, line 1: {shown} may be a sample or the names of the columns. If it is a "
        "sample, add a line of names above it; if these are names, write words (c1, c2, ...)"
        f"{listed}."
    )


def _spacing(cells: Sequence[str]) -> float | None:
    """The distance between three or more neighbours, above 0, where all are alike; else None."""
    if len(cells) < 3:
        return None
    steps = np.diff([number(cell) for cell in cells])
    return float(steps[0]) if steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-6) else None


def column_indices(path: Path, names: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where the chosen columns stand among `names`, in the order chosen.

    Raises ConfigError for one that there is not, or is chosen twice, or is one of several.
    """
    for place, column in enumerate(columns):
        fault = ""
        if column not in names:
            fault = f"{path} has no such column. {did_you_mean(column, names)}It has"
        elif column in columns[:place]:
            fault = f"name it once. {path} has"
        elif list(names).count(column) > 1:
            fault = f"{path} has several columns of that name. It has"
        if fault:
            raise ConfigError(f"data.source.columns: {column}: {fault} {shortened(names)}.")
    if not columns:
        raise ConfigError(f"data.source.columns=[]: name some. {path} has {shortened(names)}.")
    return [list(names).index(column) for column in columns]
