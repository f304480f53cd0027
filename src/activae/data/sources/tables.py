"""The one reader of tables: columns of a `.csv` or `.parquet` file, by name, as numbers or text.

Whatever cannot be read is named by its row and column.
"""

from __future__ import annotations

import csv
import math
import re
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.config.wording import did_you_mean
from activae.data.sources.files import read_text, shortened
from activae.errors import ConfigError, DataError

Array = NDArray[Any]

ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
LONGEST_CELL = 2**30  # csv's own limit is 131,072 characters, which some documents exceed
LONGEST_SHOWN = 40  # characters of a cell in a message
_UNNAMED = re.compile(r"Unnamed: \d+")  # what pandas calls a column without a name


@dataclass(frozen=True)
class Cells:
    """All cells of a table as text, column by column.

    columns: None stands for a cell that a Parquet file leaves empty; a CSV file has empty text.
    places: where each row stands, such as "line 3".
    """

    columns: list[list[str | None]]
    places: list[str]


class Table(ABC):
    """The columns of a file. Each method reads the file, and keeps only what it returns.

    names: of the columns; of a CSV file without a header, the cells of its first line.
    text_columns: the names of those that the file itself holds as text or categories.
    """

    path: Path
    names: list[str]
    has_header: bool
    text_columns: frozenset[str] = frozenset()

    @abstractmethod
    def numbers(self, columns: Sequence[int]) -> Array:
        """Columns as numbers [N, columns]. DataError names the first cell that is none."""

    @abstractmethod
    def labels(self, column: int) -> Array:
        """A column as numbers or text [N]. DataError where cells are missing."""

    @abstractmethod
    def cells(self) -> Cells:
        """Everything, as text."""

    def refuse_row_index(self, left_out: Sequence[str] = ()) -> None:
        """Raise DataError where a column is likely the row index that pandas wrote, or nameless."""
        for place, name in enumerate(self.names):
            is_index = name.startswith("__index_level_") or _UNNAMED.fullmatch(name)
            if name in left_out or not self.has_header or not (is_index or not name):
                continue
            if name or place == 0:
                what = f"column {name}: is" if name else "the first column has no name, so it is"
                raise DataError(
                    f"{self.path}: {what} probably a row index, which is no feature. Write the "
                    f"file without it (pandas: to_{self.path.suffix[1:].lower()}(path, "
                    "index=False)), or choose others with "
                    "data.source.columns=[...] or data.source.drop=[...]."
                )
            raise DataError(
                f"{self.path}: column {place + 1} has no name. Give it one in the first line, or "
                "remove the separator that ends the lines."
            )

    def refuse_numbers_as_names(self) -> None:
        """Raise DataError where the names are numbers, so that a header is probably missing."""
        counts = [str(number) for number in range(len(self.names))]
        if all(map(is_number, self.names)) and self.names not in (counts, ["0"]):
            raise DataError(
                f"{self.path}: the first line holds numbers ({shortened(self.names, 3)}), and "
                "names of columns are expected there. Add a line of names above it."
            )

    def index(self, key: str, column: str | int) -> int:
        """The index of a column given by its name or index (-1: the last).

        Raises ConfigError, which names the setting `key`, where there is no such column.
        """
        if isinstance(column, str):
            if column not in self.names:
                raise ConfigError(
                    f"{key}={column}: {self.path} has no such column. "
                    f"{did_you_mean(column, self.names)}It has {shortened(self.names)}."
                )
            return self.names.index(column)
        if not -len(self.names) <= column < len(self.names):
            raise ConfigError(
                f"{key}={column}: {self.path} has {len(self.names)} columns; count from 0, or from "
                "the end with -1."
            )
        return column % len(self.names)


def open_table(
    path: Path,
    encoding: str | None = None,
    has_header: Callable[[list[str]], bool] | None = None,
) -> Table:
    """The table in a `.csv` or `.parquet` file.

    Columns of a CSV file are separated by a comma, or by semicolons or tabs where the first line
    has any, or by | where it has no comma. Blanks around a cell do not count, nor do empty lines.

    Args:
        path: the file.
        encoding: of a CSV file; None: UTF-8, with or without a mark in front.
        has_header: tells from the cells of the first line whether they are names; None: they are,
            each must be another, and rows whose cells are all empty are left out.

    Raises:
        ConfigError: no such encoding, or pyarrow is not installed.
        DataError: no rows, names that repeat, not text, a damaged file.
    """
    is_parquet = path.suffix.lower() == ".parquet"
    table = _Parquet(path) if is_parquet else _Csv(path, encoding, has_header)
    repeated = next((name for name in table.names if table.names.count(name) > 1), None)
    if has_header is None and repeated is not None:
        raise DataError(f"{path}: two columns are named '{repeated}'; rename one of them.")
    return table


def is_number(cell: str) -> bool:
    """Whether a cell is a number as files write it: NaN and infinity too, but no 1_000."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


class _Csv(Table):
    def __init__(
        self,
        path: Path,
        encoding: str | None,
        has_header: Callable[[list[str]], bool] | None,
    ) -> None:
        self.path, self.encoding = path, encoding
        self.keeps_gaps = has_header is not None  # numbers: a row of gaps is an error, named below
        self.delimiter = ","
        first = next((line for line in self._decoded() if line.strip()), "")
        marks = ";\t" if "," in first else ";\t|"
        self.delimiter = next((mark for mark in marks if mark in first), ",")
        rows = self._all_rows()
        self.names = [cell.strip() for cell in next(rows, (0, []))[1]]
        if not self.names:
            raise DataError(f"{path} is empty, it has no rows; give one sample a line.")
        self.has_header = has_header is None or has_header(self.names)
        if self.has_header and next(rows, None) is None:
            raise DataError(
                f"{path} is not a table of numbers or text: it has "
                f"{'a header but no samples' if has_header else 'a header but no rows'} below it."
            )
        rows.close()

    def numbers(self, columns: Sequence[int]) -> Array:
        values = array("d")
        for line, row in self._rows():
            chosen = [row[column] for column in columns]
            try:
                values.extend(map(float, chosen))
            except ValueError:
                raise self._no_number(line, row, columns) from None
            if "_" in "".join(chosen):  # Python takes 1_000 for a number
                raise self._no_number(line, row, columns)
        return np.array(values).reshape(-1, len(columns))

    def labels(self, column: int) -> Array:
        return np.array([row[column].strip() for _, row in self._rows()], dtype=str)

    def cells(self) -> Cells:
        lines, rows = zip(*self._rows(), strict=True)
        columns = [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]
        return Cells(columns, [f"line {line}" for line in lines])

    def _no_number(self, line: int, row: list[str], columns: Sequence[int]) -> DataError:
        column = next(column for column in columns if not is_number(row[column]))
        cell = row[column].strip()[:LONGEST_SHOWN]
        name = f" ({self.names[column]})" if self.has_header else ""
        fault = f"'{cell}' is not a number" if cell else "the cell is empty"
        return DataError(
            f"{self.path}, line {line}, column {column + 1}{name}: {fault}. Remove the column, "
            "fill the gap, name the column in data.source.label_column if it holds labels, or "
            "choose others with data.source.columns=[...]."
        )

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """The line on which each sample's row ends, and its cells."""
        rows = self._all_rows()
        if self.has_header:
            next(rows)
        for line, row in rows:
            if len(row) != len(self.names):
                raise DataError(
                    f"{self.path}, line {line}: {len(row)} columns, but the first line has "
                    f"{len(self.names)}."
                )
            yield line, row

    def _all_rows(self) -> Generator[tuple[int, list[str]], None, None]:
        reader = csv.reader(self._decoded(), delimiter=self.delimiter)
        with _long_cells():
            try:
                for row in reader:
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


class _Parquet(Table):
    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            from pyarrow import parquet, types
        except ImportError as error:
            raise ConfigError(
                f"data.path={path}: reading .parquet needs pyarrow: pip install 'activae[parquet]'"
            ) from error
        self.path = path
        self.errors = (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError)
        try:
            self.file = parquet.ParquetFile(path)
        except self.errors as error:
            raise self._damaged(error) from error
        self.names = self.file.schema_arrow.names
        self.has_header = True
        are_text = (types.is_dictionary, types.is_string, types.is_large_string)
        schema = self.file.schema_arrow
        of_pandas = (schema.pandas_metadata or {}).get("columns", [])
        self.text_columns = frozenset(
            [field.name for field in schema if any(is_text(field.type) for is_text in are_text)]
            + [each["name"] for each in of_pandas if each["pandas_type"] == "categorical"]
        )
        rows = self.file.metadata.num_rows
        if not rows or not self.names:
            raise DataError(f"{path} has no samples: {rows} rows of {len(self.names)} columns.")

    def numbers(self, columns: Sequence[int]) -> Array:
        from pyarrow import types

        found = self._read(columns)
        for column, values in zip(columns, found, strict=True):
            kind = values.type
            if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
                raise DataError(
                    f"{self.path}, column {self.names[column]}: holds {kind}, not numbers. Name it "
                    "in data.source.label_column if it has labels, or choose others with "
                    "data.source.columns=[...]."
                )
            self._refuse_gaps(column, values)
        return np.stack([np.asarray(values.to_numpy()) for values in found], axis=1)

    def labels(self, column: int) -> Array:
        (values,) = self._read([column])
        self._refuse_gaps(column, values)
        labels = np.array(values.to_pylist())
        return labels.astype(str) if labels.dtype.kind not in "biuf" else labels

    def cells(self) -> Cells:
        columns = [
            [_as_text(value) for value in values.to_pylist()]
            for values in self._read(range(len(self.names)))
        ]
        return Cells(columns, [f"row {number}" for number in range(len(columns[0]))])

    def _read(self, columns: Sequence[int]) -> list[Any]:
        names = [self.names[column] for column in columns]
        try:
            table = self.file.read(columns=names)
        except self.errors as error:
            raise self._damaged(error) from error
        return [table.column(name) for name in names]

    def _refuse_gaps(self, column: int, values: Any) -> None:
        if values.null_count:
            first = values.is_null().to_numpy().argmax()
            raise DataError(
                f"{self.path}, column {self.names[column]}: {values.null_count} cells are empty, "
                f"the first in row {first} (counted from 0). Fill the gaps or remove these rows."
            )

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"{self.path} is no Parquet file, or is damaged; it cannot be read as parquet: "
            f"{str(error).splitlines()[0]}"
        )


def _as_text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    # repr gives back the very number; of a Boolean it gives a category
    return repr(value) if isinstance(value, float) else str(value)


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)
