"""The parts of a page: sections, notes, tables that sort on a click."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from activae.config.program import comparing, training


@dataclass(frozen=True)
class Section:
    """A part of the page; name: what links lead to."""

    name: str
    title: str
    body: str


def note(said: str) -> str:
    """Words below a figure or table."""
    return f'<p class="note">{escape(said)}</p>'


def grid(figures: list[str]) -> str:
    """Figures side by side, as many as there is room for."""
    return f'<div class="grid">{"".join(figures)}</div>'


def with_command(said: str) -> str:
    """A sentence, with the command at its end set as one."""
    for start in (training(), comparing()):
        words, start, command = said.partition(f"{start} ")
        if start:
            return f"{escape(words)}<code>{escape(start + command)}</code>"
    return escape(said)


@dataclass(frozen=True)
class Cell:
    """What a cell shows, the value it is sorted by ("" comes last), and how it looks."""

    shown: str
    value: str | float = ""
    style: str = ""


def table(heads: list[str], rows: list[list[Cell]], best: list[str], name: str) -> str:
    """A table that sorts on a click; the first column names the rows, those in `best` stand out."""
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{escape(said)}</button></th>'
        for said in heads
    )
    body = "\n".join(_table_row(row, row[0].value in best) for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>'
        "</div>"
    )


def _table_row(row: list[Cell], is_best: bool) -> str:
    values = [_sorted_by(cell.value) for cell in row]
    first, *rest = (
        f'data-v="{escape(value)}"{_style(cell)}>{cell.shown}'
        for value, cell in zip(values, row, strict=True)
    )
    cells = "".join(f"<td {cell}</td>" for cell in rest)
    css = ' class="best"' if is_best else ""
    return f'<tr{css}><th scope="row" {first}</th>{cells}</tr>'


def _style(cell: Cell) -> str:
    return f' style="{escape(cell.style)}"' if cell.style else ""


def _sorted_by(value: str | float) -> str:
    """The value as JavaScript reads it; what is not there is empty."""
    if isinstance(value, str) or math.isfinite(value):
        return str(value)
    return "" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
