"""What names and values of columns hint at: labels, and numbers of rows.

A hint is only noted, but for text that looks like labels, which no array of numbers could hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.data.sources.csv_table import CsvTable
from activae.data.sources.files import shortened
from activae.data.sources.table import Table, is_number

_LABELS = frozenset({"label", "labels", "target", "class", "y", "species", "outcome", "diagnosis"})
# Of numbers these could be anything.
_LABELS_OF_TEXT = _LABELS | {"variety", "cell_type"}
_NUMBERS_OF_ROWS = re.compile(
    r"(.*[_ .-])?(id|index|idx)|row([_ ]?(id|name|number|num|nr)s?)?|.+ID"
)
# So many rows count from 0 or 1 by chance no more, whatever the column is called.
ENOUGH_ROWS = 10


def note_on_labels(names: Sequence[str]) -> Iterator[str]:
    """Says which of the columns trained on seems to hold labels."""
    lower = {name.lower() for name in names}
    # Beside x, y is a coordinate.
    likely = [n for n in names if n.lower() in _LABELS and not (n.lower() == "y" and "x" in lower)]
    if likely:
        yield (
            f"{likely[0]} is trained on like any other column; if it holds labels, set it apart "
            f"with data.source.label_column={likely[0]}."
        )


def text_labels(table: Table) -> int | None:
    """The one column of text, where it is called as labels are; judged by the head of the file."""
    names = table.names
    texts = [place for place, name in enumerate(names) if name in table.text_columns]
    if isinstance(table, CsvTable) and len(table.second or ()) == len(names):
        texts = [place for place, cell in enumerate(table.second or ()) if _is_word(cell)]
    if not table.has_header or len(texts) != 1 or not is_called_labels(names[texts[0]]):
        return None
    others = [name for place, name in enumerate(names) if place != texts[0]]
    return None if all(map(is_number, others)) else texts[0]  # then the first line is a sample


def is_called_labels(name: str) -> bool:
    """Whether a column of text with this name seems to hold labels."""
    return name.lower() in _LABELS_OF_TEXT


def _is_word(cell: str) -> bool:
    return bool(cell.strip()) and not is_number(cell.strip())


def note_on_row_numbers(names: Sequence[str], values: NDArray[Any], remedy: str) -> Iterator[str]:
    """Says which of the columns, values [N, columns], seem to number the rows.

    They do where they count from 0 or 1, and where an id is another whole number in each row.
    remedy: how to leave such columns out.
    """
    found = [
        name
        for name, column in zip(names, values.T, strict=True)
        if _counts(column) or (_is_id(name) and _are_distinct(column))
    ]
    if found:
        verb = "seem to number the rows and are" if found[1:] else "seems to number the rows and is"
        yield f"{shortened(found, 3)} {verb} trained on like any other column; {remedy}."


def _is_id(name: str) -> bool:
    return bool(_NUMBERS_OF_ROWS.fullmatch(name) or _NUMBERS_OF_ROWS.fullmatch(name.lower()))


def _counts(column: NDArray[Any]) -> bool:
    start = column[0]
    if len(column) < ENOUGH_ROWS or start not in (0, 1):
        return False
    return bool((column == np.arange(len(column)) + start).all())


def _are_distinct(column: NDArray[Any]) -> bool:
    are_whole = bool((column == np.floor(column)).all())
    return are_whole and len(np.unique(column)) == len(column)
