"""Which columns of a table are numbers and which categories, as far as its cells tell.

What can be meant in two ways is refused, by its row and column; what is a guess is noted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.data.sources.files import shortened
from activae.data.sources.hints import note_on_labels, note_on_row_numbers
from activae.data.sources.table import (
    DECIMAL_COMMA,
    Cells,
    Table,
    is_number,
    number,
    with_points,
)
from activae.errors import DataError

GAPS = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})  # in any case
# Among numbers these are gaps too; among words they may be words.
GAPS_AMONG_NUMBERS = frozenset(
    {"#n/a", "<na>", "-", "--", "\u2212", "\u2013", "\u2014", ".", "n.a."}
)
# A column with more numbers than this is likely meant to be one, whatever else it holds.
MOSTLY_NUMBERS = 0.9
# A column with more gaps than this hardly says anything.
MOSTLY_GAPS = 0.9
MISSING = "(missing)"  # a category like any other

# Numbers as people write them and files should not: how, and what the pattern is.
_WRITTEN_OTHERWISE = {
    "a thousands separator": re.compile(
        r"[+-]?(?!0[,.])\d{1,3}([,'\u2019 \xa0\u202f]\d{3})+([.,]\d+)?|[+-]?\d{1,3}(\.\d{3})+,\d+"
    ),
    "a decimal comma": DECIMAL_COMMA,
    "brackets for a minus sign": re.compile(r"\([$€£¥]?\s*\d[\d.,]*\s*%?\)"),
    "a dash for a minus sign": re.compile(
        r"[\u2013\u2014\u2010\u2011\u2012]\s*\d[\d.,]*|\d[\d.,]*-"
    ),
    "a percent sign": re.compile(r"[+-]?\d+([.,]\d+)?\s*%"),
    "a currency sign": re.compile(r"([+-]?[$€£¥]\s*[+-]?\d[\d.,]*|[+-]?\d[\d.,]*\s*[$€£¥])"),
}
_WITH_UNIT = re.compile(r"[+-]?\d+([.,]\d+)?\s+([^\W\d_]{1,6})")  # 12 kg
_CODE = re.compile(r"0\d+|\d+[eE]\d+")  # 007 and 1e5: as numbers they would be 7 and 100000

Kinds = dict[str, Sequence[str] | None]


@dataclass(frozen=True, eq=False)
class Columns:
    """Rows of a table: numbers, NaN where one is missing, and categories as text.

    numeric: names and values [N, p] float64; categorical: names and values [N, q] str objects.
    """

    numeric_names: list[str]
    numeric: NDArray[np.float64]
    categorical_names: list[str]
    categorical: NDArray[Any]

    def __len__(self) -> int:
        return len(self.numeric)

    def __getitem__(self, places: Any) -> Columns:
        return Columns(
            self.numeric_names,
            self.numeric[places],
            self.categorical_names,
            self.categorical[places],
        )


def with_gaps(cells: Cells) -> Cells:
    """The same cells, None in the place of empty text, NA, NaN and the other words for a gap."""
    columns = [
        [None if (cell or "").lower() in GAPS else cell for cell in column]
        for column in cells.columns
    ]
    return Cells(columns, cells.places)


def columns_of(table: Table, cells: Cells, kinds: Kinds) -> tuple[Columns, list[str]]:
    """The columns to train on, and what to tell the user of them.

    kinds: the names said to be numeric, categorical, label_column, or to drop. Raises DataError
    where a column can be meant in two ways.
    """
    left_out = {*(kinds["drop"] or ()), *(kinds.get("label_column") or ())}
    numbers: dict[str, list[float]] = {}
    categories: dict[str, list[str]] = {}
    codes: dict[str, str] = {}
    for name, column in zip(table.names, cells.columns, strict=True):
        if name in left_out:
            continue
        found = _Column(table, cells.places, name, column)
        if found.is_numeric(kinds):
            numbers[name] = found.numbers()
            code = None if name in (kinds["numeric"] or ()) else found.code()
            codes |= {name: code} if code else {}
        else:
            categories[name] = [MISSING if cell is None else cell for cell in column]
    if not numbers and not categories:
        raise DataError(f"{table.path}: no column is left to train on.")
    rows = len(cells.places)
    columns = Columns(
        list(numbers),
        np.array(list(numbers.values()), dtype=np.float64).reshape(-1, rows).T,
        list(categories),
        np.array(list(categories.values()), dtype=object).reshape(-1, rows).T,
    )
    return columns, list(_notes(columns, codes, kinds))


def _notes(columns: Columns, codes: dict[str, str], given: Kinds) -> Iterator[str]:
    labelled = given.get("label_column") or ()
    kinds = {
        "numbers": columns.numeric_names,
        "categories": columns.categorical_names,
        "labels, not trained on": labelled,
        "left out": given["drop"] or (),
    }
    named = [f"{kind}: {shortened(names, 6)}" for kind, names in kinds.items() if names]
    yield f"Columns read as {'; '.join(named)}."
    if codes:
        yield (
            f"Cells such as {next(iter(codes.values()))} are numbers in "
            f"{shortened(list(codes), 3)}; data.source.categorical=[{','.join(list(codes)[:3])}] "
            "keeps them as codes."
        )
    gaps = [*np.isnan(columns.numeric).mean(0), *(columns.categorical == MISSING).mean(0)]
    names = [*columns.numeric_names, *columns.categorical_names]
    empty = [name for name, share in zip(names, gaps, strict=True) if share > MOSTLY_GAPS]
    if empty:
        yield (
            f"More than {MOSTLY_GAPS:.0%} of the cells are gaps in {shortened(empty, 3)}; "
            f"data.source.drop=[{','.join(empty[:3])}] leaves them out."
        )
    if not labelled:
        yield from note_on_labels(names)
    remedy = "data.source.drop=[...] leaves it out"
    yield from note_on_row_numbers(columns.numeric_names, columns.numeric, remedy)


@dataclass(frozen=True)
class _Column:
    """A column's name and cells, None being a gap, and where its rows stand in the table."""

    table: Table
    places: list[str]
    name: str
    cells: list[str | None]

    def is_numeric(self, kinds: Kinds) -> bool:
        """Whether it is numbers. Raises DataError where that cannot be told."""
        if self.name in (kinds["categorical"] or ()):
            return False
        said = self.name in (kinds["numeric"] or ())
        if self.name in self.table.text_columns and not said:
            return False
        full = [place for place, cell in enumerate(self.cells) if cell is not None]
        bad = [place for place in full if not _is_finite(self.cells[place])]
        true = [place for place in bad if not _is_gap_among_numbers(self.cells[place])]
        if not true:
            return said or len(bad) < len(full) or not bad
        if said or len(bad) < (1 - MOSTLY_NUMBERS) * len(full):
            if said and not self.table.has_settings:
                where, cell = self._where(true[0]), self.cells[true[0]]
                raise DataError(f"{where}: '{cell}' is no number; correct or empty such cells.")
            raise self._no_number(true[0], len(full) - len(bad), len(full), said=said)
        self._refuse_written_otherwise(true, len(full) - len(bad))
        return False

    def numbers(self) -> list[float]:
        """The cells as numbers, NaN for gaps."""
        return [number(cell) if cell and _is_finite(cell) else math.nan for cell in self.cells]

    def code(self) -> str | None:
        """The first cell that a number would not keep as it is, if there is one."""
        return next((cell for cell in self.cells if cell and _CODE.fullmatch(cell)), None)

    def _refuse_written_otherwise(self, bad: list[int], numbers: int) -> None:
        """Raise DataError where the cells that are no numbers are likely meant to be some."""
        words = [str(self.cells[place]) for place in bad]
        for how, pattern in _WRITTEN_OTHERWISE.items():
            alike = [n for n, word in enumerate(words) if pattern.fullmatch(word)]
            if alike and len(alike) + numbers > MOSTLY_NUMBERS * (len(words) + numbers):
                word = words[alike[0]]
                remedy = "Write plain numbers (1234.5)"
                if pattern is DECIMAL_COMMA:
                    delimiter = getattr(self.table, "delimiter", ",")
                    remedy = with_points(self.table.path, word, delimiter)
                raise DataError(
                    f"{self._where(bad[alike[0]])}: '{word}' seems a number with {how}, which "
                    f"would be a category. {remedy}, or {self._remedy}."
                )
        units = [found[2] for found in map(_WITH_UNIT.fullmatch, words) if found]
        if len(units) == len(words) and len(set(units)) == 1 and len(set(words)) > 2:
            raise DataError(
                f"{self._where(bad[0])}: '{words[0]}' seems a number with a unit, which would be a "
                f"category. Write numbers alone, or {self._remedy}."
            )
        if self._seem_gaps(words, numbers):
            raise DataError(
                f"{self._where(bad[0])}: '{words[0]}' is no finite number, and {numbers} of "
                f"{numbers + len(words)} cells are. If it marks gaps, empty those cells; otherwise "
                f"{self._remedy}."
            )

    def _seem_gaps(self, words: list[str], numbers: int) -> bool:
        """Whether words are one or two among more numbers, or among few of which hardly two are
        equal, or one in nearly all cells."""
        distinct = {cell for cell in self.cells if _is_finite(cell)}
        are_varied = len(distinct) > max(2, numbers / 2)
        if len(set(words)) <= 2 and (numbers > len(words) or are_varied):
            return True
        are_most = len(words) > MOSTLY_GAPS * (len(words) + numbers)
        return len(set(words)) == 1 and numbers > 0 and are_most

    def _no_number(self, place: int, numbers: int, full: int, *, said: bool) -> DataError:
        remedy = f"take {self.name} out of data.source.numeric" if said else self._remedy
        return DataError(
            f"{self._where(place)}: '{self.cells[place]}' is no number, but {numbers} of {full} "
            f"cells are. Correct or empty such cells, or {remedy}."
        )

    def _where(self, place: int) -> str:
        return f"{self.table.path}, {self.places[place]}, column '{self.name}'"

    @property
    def _remedy(self) -> str:
        return f"say that they are categories, data.source.categorical=[{self.name}]"


def _is_finite(cell: str | None) -> bool:
    return cell is not None and is_number(cell) and math.isfinite(number(cell))


def _is_gap_among_numbers(cell: str | None) -> bool:
    return cell is not None and cell.lower() in GAPS_AMONG_NUMBERS
