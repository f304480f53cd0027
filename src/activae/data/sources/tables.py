"""The one reader of tables: columns of a text or Parquet file, by name, as numbers or text.

Whatever cannot be read is named by its row and column.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.data.sources.csv_table import CsvTable
from activae.data.sources.table import Cells, Table
from activae.errors import ConfigError, DataError

Array = NDArray[Any]

ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
BATCH_ROWS = 1024  # of a Parquet file that are decoded at a time


def open_table(
    path: Path,
    encoding: str | None = None,
    has_header: Callable[[list[str]], bool] | None = None,
    *,
    has_settings: bool = True,
) -> Table:
    """The table in a `.parquet` file, or in a text file of any other ending.

    Columns of a text file are separated by a comma, or by semicolons or tabs where the first line
    has any, or by | where it has no comma, or by blanks where there is no other mark and numbers
    stand between them. Blanks around a cell do not count, nor do empty lines.

    Args:
        path: the file.
        encoding: of a text file; None: UTF-8, with or without a mark in front.
        has_header: tells from the cells of the first line whether they are names; None: they are,
            each must be another, and rows whose cells are all empty are left out.
        has_settings: whether messages may name keys of data.source.

    Raises:
        ConfigError: no such encoding, or pyarrow is not installed.
        DataError: no rows, names that repeat, not text, a damaged file.
    """
    is_parquet = path.suffix.lower() == ".parquet"
    table = _Parquet(path) if is_parquet else CsvTable(path, encoding, has_header)
    table.has_settings = has_settings
    if has_header is None:
        table.refuse_double_names(range(len(table.names)))
    return table


class _Parquet(Table):
    held: Any = None  # of a part: its rows, as pyarrow's Table
    first = 0  # and where they begin

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
        rows = self.count()
        if not rows or not self.names:
            raise DataError(f"{path} has no samples: {rows} rows of {len(self.names)} columns.")

    def count(self) -> int:
        """As described; the file says it."""
        return int(self.file.metadata.num_rows)

    def walk(self) -> Callable[[int], _Parquet]:
        """As described; pages of a row group are read as they are needed."""
        batches, at = self._batches(), 0
        ahead: list[Any] = []

        def take(number: int) -> _Parquet:
            import pyarrow

            nonlocal at
            while sum(map(len, ahead)) < number and (batch := next(batches, None)) is not None:
                ahead.append(batch)
            found = pyarrow.Table.from_batches(ahead, self.file.schema_arrow)
            part = copy.copy(self)
            part.held, part.first = found.slice(0, number), at
            ahead[:] = found.slice(number).to_batches()
            at += len(part.held)
            return part

        return take

    def _batches(self) -> Iterator[Any]:
        try:
            yield from self.file.iter_batches(BATCH_ROWS)
        except self.errors as error:
            raise self._damaged(error) from error

    def numbers(self, columns: Sequence[int]) -> Array:
        from pyarrow import types

        found = self._read(columns)
        for column, values in zip(columns, found, strict=True):
            kind = values.type
            are_numbers = (
                types.is_integer,
                types.is_floating,
                types.is_decimal,
                types.is_boolean,
            )
            if not any(are_number(kind) for are_number in are_numbers):
                remedy = "Remove it."
                if self.has_settings:
                    remedy = (
                        "Name it in data.source.label_column if it has labels, or choose others "
                        "with data.source.columns=[...]."
                    )
                raise DataError(
                    f"{self.path}, column {self.names[column]}: holds {kind}, not numbers. {remedy}"
                )
            self._refuse_gaps(column, values)
        plain = [
            values.cast("float64") if types.is_decimal(values.type) else values for values in found
        ]
        return np.stack([np.asarray(values.to_numpy()) for values in plain], axis=1)

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
        rows = range(self.first, self.first + len(columns[0]))
        return Cells(columns, [f"row {number}" for number in rows])

    def _read(self, columns: Sequence[int]) -> list[Any]:
        names = [self.names[column] for column in columns]
        if self.held is not None:
            return [self.held.column(name) for name in names]
        try:
            table = self.file.read(columns=names)
        except self.errors as error:
            raise self._damaged(error) from error
        return [table.column(name) for name in names]

    def _refuse_gaps(self, column: int, values: Any) -> None:
        if values.null_count:
            first = self.first + int(values.is_null().to_numpy().argmax())
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
