"""A race, as its race.json tells of it: the verdict, its guarantee, who left when."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from activae.compare.answer import Answer
from activae.compare.race import record
from activae.compare.race.table import guarantee
from activae.compare.report.intervals import plain
from activae.compare.report.markup import Cell, Section, note, table
from activae.compare.terminal import heading


@dataclass(frozen=True)
class Race:
    """verdict: None while it runs; conditions: a row each, as in race.json."""

    verdict: str | None
    alpha: float
    conditions: list[dict[str, Any]]

    @property
    def guarantee(self) -> str:
        """What the verdict may be relied on for, as a sentence."""
        said = guarantee(len(self.conditions), self.alpha)
        return f"{said[:1].upper()}{said[1:]}."


def race_of(answer: Answer) -> Race | None:
    """The race that all runs are from; None where they are from none, or its file is damaged."""
    found = record.found_of(answer.paired.runs["path"]) or {}
    try:
        verdict, rows = found.get("verdict"), found["conditions"]
        rows = [row for row in rows if isinstance(row["condition"], str)]
        alpha = float(found["alpha"])
    except (ValueError, LookupError, TypeError):
        return None
    if not rows or not 0 < alpha < 1:
        return None
    return Race(verdict if isinstance(verdict, str) else None, alpha, rows)


def raced(answer: Answer) -> Iterator[Section]:
    """Who is in, who left when, and the evidence against each."""
    race = race_of(answer)
    if race is None:
        return
    rows = [
        [
            Cell(escape(row["condition"]), row["condition"]),
            _state(row),
            _figure(row.get("seeds")),
            _figure(row.get("lr")),
            _figure(row.get("test/SE")),
            _figure(row.get("difference")),
            _figure(row.get("evidence"), ".1f"),
        ]
        for row in race.conditions
    ]
    rows.sort(key=lambda row: (-float(row[1].value), _size(row[4])))
    heads = [heading(answer), "state", "seeds", "rate", "test/SE", "difference", "evidence"]
    still_in = [row[0].value for row in rows if row[1].value == math.inf]
    said = (
        f"{race.guarantee} Difference: to the leader, on the seeds of both. Evidence: what a stake "
        "of 1 on being worse than a rival has grown to after all seeds, on average over the "
        f"rivals; below 1 it speaks for a condition, and at {1 / race.alpha:g} it is out. Seeds "
        "were not fixed beforehand: the evidence allows for that, the p and intervals of this page "
        "do not."
    )
    body = table(heads, rows, [str(name) for name in still_in], "the race") + note(said)
    yield Section("race", "The race", body)


def _state(row: dict[str, Any]) -> Cell:
    """Sorted by the seed after which it left; those that are in come after all of them."""
    left = row.get("left after")
    if isinstance(left, int) and left > 0:
        return Cell(f"out, seed {left}", left)
    return Cell("failed", 0) if row.get("failed") else Cell("in", math.inf)


def _figure(value: object, digits: str = ".4g") -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Cell("–")
    return Cell(plain(format(value, digits)), float(value))


def _size(cell: Cell) -> float:
    return math.inf if cell.value == "" else float(cell.value)
