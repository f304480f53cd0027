"""Tables in text files: what separates their columns, and whatever cannot be read, by its cell."""

from __future__ import annotations

import copy
import csv
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.data.sources.files import read_text
from activae.data.sources.table import (
    DECIMAL_COMMA,
    Cells,
    Table,
    is_number,
    number,
    with_points,
)
from activae.errors import DataError

Array = NDArray[Any]

BLANK = " "
LONGEST_CELL = 2**30  # csv's own limit is 131,072 characters, which some documents exceed
LONGEST_SHOWN = 40  # characters of a cell in a message


class CsvTable(Table):
    """A table in a text file; `open_table` says what its arguments are and what it raises.

    second: the cells of the first line below the names, or of the second line; None: there is none.
    """

    held: list[tuple[int, list[str]]] | None = None  # of a part: its rows and their lines

    def __init__(
        self,
        path: Path,
        encoding: str | None,
        has_header: Callable[[list[str]], bool] | None,
    ) -> None:
        self.path, self.encoding = path, encoding
        self.keeps_gaps = has_header is not None  # numbers: a row of gaps is an error, named below
        self.delimiter = ","
        self.delimiter = _delimiter(*islice((line for line in self._decoded() if line.strip()), 2))
        rows = self._all_rows()
        self.names = [cell.strip() for cell in next(rows, (0, []))[1]]
        if not self.names:
            raise DataError(f"{path} is empty, it has no rows; give one sample a line.")
        self.has_header = has_header is None or has_header(self.names)
        self.second: list[str] | None = next(rows, (0, None))[1]
        if self.has_header and self.second is None:
            raise DataError(
                f"{path} is not a table of numbers or text: it has "
                f"{'a header but no samples' if has_header else 'a header but no rows'} below it."
            )
        rows.close()

    def numbers(self, columns: Sequence[int]) -> Array:
        """Columns as numbers [N, columns]. DataError names the first cell that is none."""
        values = array("d")
        for line, row in self._rows():
            chosen = [row[column] for column in columns]
            try:
                found = list(map(float, chosen))
                if "_" in "".join(chosen):  # Python takes 1_000 for a number
                    raise self._no_number(line, row, columns)
            except ValueError:  # seldom, so that what is slower comes second
                if not all(map(is_number, chosen)):
                    raise self._no_number(line, row, columns) from None
                found = list(map(number, chosen))
            values.extend(found)
        return np.array(values).reshape(-1, len(columns))

    def labels(self, column: int) -> Array:
        """A column as text [N]."""
        return np.array([row[column].strip() for _, row in self._rows()], dtype=str)

    def cells(self) -> Cells:
        """Everything, as text."""
        lines, rows = zip(*self._rows(), strict=True)
        columns = [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]
        return Cells(columns, [f"line {line}" for line in lines])

    def count(self) -> int:
        """How many rows there are; reads the file once."""
        return sum(1 for _ in self._rows())

    def walk(self) -> Callable[[int], CsvTable]:
        """As described; a quoted cell may span lines."""
        rows = self._rows()

        def take(number: int) -> CsvTable:
            part = copy.copy(self)
            part.held = list(islice(rows, number))
            return part

        return take

    def _no_number(self, line: int, row: list[str], columns: Sequence[int]) -> DataError:
        column = next(column for column in columns if not is_number(row[column]))
        cell = row[column].strip()[:LONGEST_SHOWN]
        name = f" ({self.names[column]})" if self.has_header else ""
        fault = f"'{cell}' is not a number" if cell else "the cell is empty"
        if DECIMAL_COMMA.fullmatch(cell):
            return DataError(
                f"{self.path}, line {line}, column {column + 1}{name}: {fault}: it has a "
                f"comma. {with_points(self.path, cell, self.delimiter)}."
            )
        if not self.has_settings:
            return DataError(
                f"{self.path}, line {line}, column {column + 1}{name}: {fault}. Remove the column, "
                "or write a number there."
            )
        return DataError(
            f"{self.path}, line {line}, column {column + 1}{name}: {fault}. Remove the column, "
            "fill the gap, name the column in data.source.label_column if it holds labels, or "
            "choose others with data.source.columns=[...]."
        )

    def _ragged(self, line: int, row: list[str]) -> DataError:
        width = len(self.names)
        if width == 1:
            remedy = "If that is a title and no names of columns, remove it"
        elif len(row) > width and not any(cell.strip() for cell in row[width:]):
            remedy = "Remove the separators that end the lines"
        elif self.has_header and len(row) == width + 1:
            remedy = (
                "If the lines begin with names or numbers of rows, write the file without them (R: "
                "row.names=FALSE) or name that column too"
            )
        else:
            remedy = "Give each line as many cells, in quotes where a cell holds the separator"
        return DataError(
            f"{self.path}, line {line}: {len(row)} columns, but the first line has "
            f"{width}{f' ({self.names[0][:LONGEST_SHOWN]})' if width == 1 else ''}. {remedy}."
        )

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The line on which each sample's row ends, and its cells."""
        if self.held is not None:
            yield from self.held
            return
        rows = self._all_rows()
        if self.has_header:
            next(rows)
        for line, row in rows:
            if len(row) != len(self.names):
                raise self._ragged(line, row)
            yield line, row

    def _all_rows(self) -> Generator[tuple[int, list[str]], None, None]:
        reader = csv.reader(self._decoded(), delimiter=self.delimiter)
        if self.delimiter == BLANK:
            reader = _blank_separated(self._decoded())
        with _long_cells():
            try:
                for row in reader:
                    if reader.line_num == 1 and row[:1] == ["sep="]:  # tells Excel the separator
                        continue
                    is_gap = len(row) > 1 and self.keeps_gaps
                    if is_gap or any(cell.strip() for cell in row):
                        yield reader.line_num, row
            except csv.Error as error:
                raise DataError(f"{self.path} is not a table: {error}.") from error

    def _decoded(self) -> Iterator[str]:
        try:
            with self.path.open(encoding=self.encoding or "utf-8-sig", newline="") as file:
                yield from file
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error}") from error
        except (UnicodeDecodeError, LookupError):
            read_text(self.path, self.encoding)  # which says what is wrong
            raise


def _delimiter(first: str = "", second: str | None = None) -> str:
    """What separates the columns, by the first two lines that are not empty.

    Blanks do where no other mark is there and numbers stand between them, as numpy.savetxt and R's
    write.table put them.
    """
    marks = ";\t" if "," in first else ";\t|"
    mark = next((mark for mark in marks if mark in first), ",")
    if mark in first:
        return mark
    names = first.removeprefix("#").split()
    cells = [cell.strip('"') for cell in (second or first).split()]
    if len(cells) == len(names) > 1 and any(map(is_number, cells)):
        return BLANK
    # R writes names of rows, and none for their column.
    are_named = len(cells) == len(names) + 1 > 2 and all(map(is_number, cells[1:]))
    return BLANK if are_named else mark


def _blank_separated(lines: Iterable[str]) -> Any:
    """A csv.reader of lines whose cells are separated by blanks; numpy.savetxt's # is no cell."""
    stripped = (line.strip().removeprefix("#").lstrip() for line in lines)
    return csv.reader(stripped, delimiter=BLANK, skipinitialspace=True)


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)
