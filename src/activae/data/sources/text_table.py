"""A table of text cells from a CSV file with a header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from activae.errors import ConfigError, DataError

LONGEST_CELL = 2**30  # csv's own limit is 131,072 characters, which some documents exceed


@dataclass(frozen=True)
class TextTable:
    """A header and, under it, as many cells in each row; `lines` are where the rows end."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str | int, key: str, path: Path) -> int:
        """The index of a column given by name, or by index (-1: the last).

        Raises ConfigError, which names `key`, where there is none.
        """
        if isinstance(name, str) and name in self.header:
            return self.header.index(name)
        if isinstance(name, int) and -len(self.header) <= name < len(self.header):
            return name % len(self.header)
        raise ConfigError(
            f"{key}={name}: {path} has no such column; it has {shortened(self.header)}."
        )


def read_text_table(path: Path, encoding: str) -> TextTable:
    """The cells of a CSV file, stripped of the blanks around them, empty lines passed over.

    Columns are separated by a comma, or by semicolons or tabs where the first line has any. The
    first line names the columns. Raises DataError: no rows, ragged rows, names that repeat.
    """
    text = read_text(path, encoding)
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    delimiter = next((mark for mark in ";\t" if mark in first), ",")
    rows, lines = [], []
    try:
        with _long_cells():
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
            for row in reader:
                if any(cell.strip() for cell in row):
                    rows.append([cell.strip() for cell in row])
                    lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path} is not a table: {error}.") from error
    if len(rows) < 2:
        raise DataError(
            f"{path} has {'a header but no rows below it' if rows else 'no rows'}: the first line "
            "names the columns, every other one is a sample."
        )
    header = rows.pop(0)
    lines.pop(0)
    _check(path, header, rows, lines)
    return TextTable(header, rows, lines)


def read_text(path: Path, encoding: str) -> str:
    """The whole file. Raises DataError where it is not in the encoding, ConfigError if none is."""
    try:
        return path.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text in {encoding}: byte {error.start} cannot be read "
            f"({error.reason}). Save it in {encoding}, or name its encoding: "
            "data.source.encoding=latin-1, say."
        ) from error
    except LookupError as error:
        raise ConfigError(
            f"data.source.encoding={encoding}: Python knows no such encoding; use utf-8-sig or "
            "latin-1, say."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _check(path: Path, header: list[str], rows: list[list[str]], lines: list[int]) -> None:
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise DataError(
                f"{path}, line {line}: {len(row)} columns, but the first line has {len(header)}."
            )
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}: two columns are named '{name}'; rename one of them.")


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def shortened(names: list[str], most: int = 10) -> str:
    """Some names, and how many there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} of them)"
