"""What a table is: named columns of cells, whatever file they come from."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from activae.config.wording import did_you_mean
from activae.data.sources.files import shortened
from activae.errors import ConfigError, DataError

Array = NDArray[Any]

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
    has_settings: whether messages may name keys of data.source, which new data for a finished run
    do not have.
    """

    path: Path
    names: list[str]
    has_header: bool
    text_columns: frozenset[str] = frozenset()
    has_settings: bool = True

    @abstractmethod
    def numbers(self, columns: Sequence[int]) -> Array:
        """Columns as numbers [N, columns]. DataError names the first cell that is none."""

    @abstractmethod
    def labels(self, column: int) -> Array:
        """A column as numbers or text [N]. DataError where cells are missing."""

    @abstractmethod
    def cells(self) -> Cells:
        """Everything, as text."""

    @abstractmethod
    def count(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def walk(self) -> Callable[[int], Table]:
        """What takes the next rows at each call, so many, as a table that holds them alone.

        Rows keep the places that messages name. No more than the rows taken are in memory.
        """

    def refuse_row_index(self, left_out: Sequence[str] = (), *, remedy: str) -> None:
        """Raise DataError where a column is likely the row index that pandas wrote, or nameless.

        remedy: what else to do than to write the file anew.
        """
        for place, name in enumerate(self.names):
            is_index = name.startswith("__index_level_") or _UNNAMED.fullmatch(name)
            if name in left_out or not self.has_header or not (is_index or not name):
                continue
            if name or place == 0:
                what = f"column {name}: is" if name else "the first column has no name, so it is"
                raise DataError(
                    f"{self.path}: {what} probably a row index, which is no feature. Write the "
                    f"file without it (pandas: to_{self.path.suffix[1:].lower()}(path, "
                    f"index=False)), or {remedy}."
                )
            raise DataError(
                f"{self.path}: column {place + 1} has no name. Give it one in the first line, or "
                "remove the separator that ends the lines."
            )

    def refuse_double_names(self, columns: Sequence[int]) -> None:
        """Raise DataError where one of the columns has the name of another column."""
        for column in columns:
            name = self.names[column]
            alike = [place + 1 for place, other in enumerate(self.names) if other == name]
            if self.has_header and len(alike) > 1:
                raise DataError(
                    f"{self.path}: columns {alike[0]} and {alike[1]} are both named '{name}'; "
                    "rename one of them."
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
            self.refuse_double_names([self.names.index(column)])
            return self.names.index(column)
        if not -len(self.names) <= column < len(self.names):
            raise ConfigError(
                f"{key}={column}: {self.path} has {len(self.names)} columns; count from 0, or from "
                "the end with -1."
            )
        return column % len(self.names)


DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def with_points(path: Path, cell: str, delimiter: str) -> str:
    """How to get a file whose numbers have decimal commas, such as that of a cell, read."""
    return (
        f"Write decimals with a point ({cell.replace(',', '.')}); in Python: pandas.read_csv("
        f"{path.name!r}, sep={delimiter!r}, decimal=',').to_csv('points.csv', index=False)"
    )


def is_number(cell: str) -> bool:
    """Whether a cell is a number as files write it: NaN and infinity too, but no 1_000."""
    try:
        number(cell)
    except ValueError:
        return False
    return True


def number(cell: str) -> float:
    """A cell as a number; its minus sign may be that of Unicode. Raises ValueError where none."""
    if "_" in cell:  # Python takes 1_000 for a number
        raise ValueError(cell)
    return float(cell.replace("\u2212", "-"))
