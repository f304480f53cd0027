"""An answer in the terminal: the verdict, the table, the caveats, within 80 columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from textwrap import wrap
from typing import Any

from activae.compare.answer import Answer, percent
from activae.compare.interaction import in_words, interaction
from activae.config.names import short_names
from activae.config.wording import counted, decimals_for

WIDTH = 80
_NO_BREAK = "\u00a0"
# Below the table.
NOTE = (
    "difference: to {reference}, of seeds that both have, with its own 95 % interval; better: the "
    "chance that a run of it is better; p: adjusted for all comparisons, as the verdict is"
)


def shown(answer: Answer) -> str:
    """The answer as text, lines of at most 80 columns."""
    kept = kept_together(answer.verdict)
    lines = [line.replace(_NO_BREAK, " ") for line in wrap(kept, WIDTH)]
    for said in answer.plan:
        lines += _unbroken(said, "", "")
    lines += ["", *_table(answer)]
    lines += wrap(NOTE.format(reference=answer.reference), WIDTH)
    if (found := interaction(answer)) is not None:
        lines += ["", "does the ranking hold?", *wrap(in_words(found), WIDTH)]
    if answer.paired.tuning is not None:
        tuned = f"{counted(len(answer.paired.tuning), 'run')} that tuned, without the test split"
        lines += _unbroken(f"not compared: {tuned} (--where score.test=false)", "", "")
    if answer.caveats:
        lines += ["", "caveats"]
    for caveat in answer.caveats:
        lines += _unbroken(caveat, "- ", "  ")
    return "\n".join(lines)


def _unbroken(said: str, first: str, rest: str) -> list[str]:
    """Lines in which no path or command is cut: it is there to be copied."""
    return wrap(
        said,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def kept_together(sentence: str) -> str:
    """The sentence with blanks that no line is broken at: p > .4, 9 %."""
    for unit in (" % ", "(p > ", "(p = "):
        sentence = sentence.replace(unit, unit.replace(" ", _NO_BREAK))
    return sentence


def cells(answer: Answer) -> list[list[str]]:
    """The table's lines as texts: the headings, then a line for each condition."""
    rows = list(answer.table.itertuples())
    number = fixed(rows)
    lines = [[heading(answer), "n", answer.metric, "sd", "difference", "", "better", "p"]]
    for row in rows:
        is_reference = row.condition == answer.reference
        lines.append(
            [
                str(row.condition),
                str(row.n),
                "-" if row.diverged else number(row.mean),
                number(row.sd),
                *_difference(row, number, is_reference),
                "" if is_reference else _share(row.p_better),
                "" if is_reference else p_value(row.p),
            ]
        )
    return lines


def heading(answer: Answer) -> str:
    """Of the column that names the conditions: activation, or, of several keys, activation (dim).

    The names say the rest.
    """
    keys = answer.paired.factor
    if len(keys) == 1:
        return answer.factor
    first, *others = short_names(keys)
    return f"{first} ({', '.join(others)})"


def _table(answer: Answer) -> Iterator[str]:
    """The conditions, and their figures beside them: below a name that leaves them no room.

    Names of several keys are their values alone where they would not fit.
    """
    lines = cells(answer)
    widths = [max(map(len, column)) for column in zip(*(line[1:] for line in lines), strict=True)]
    room = WIDTH - sum(2 + width for width in widths)
    title, *names = (line[0] for line in lines)
    if len(answer.paired.factor) > 1 and max(map(len, names)) > room:
        names = [answer.paired.bare[name] for name in names]
        title = ", ".join(short_names(answer.paired.factor))
    longest = max((len(name) for name in [title, *names] if len(name) <= room), default=0)
    for name, line in zip([title, *names], lines, strict=True):
        if len(name) > longest:  # it has a line of its own, above its figures
            yield from wrap(name, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
            name = ""
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths, strict=True))
        yield "  ".join([name.ljust(longest), *rest]).rstrip()


def _difference(row: Any, number: Callable[[float], str], is_reference: bool) -> list[str]:
    if row.diverged:
        return [divergence(row), ""]
    if is_reference:
        return ["", ""]
    if not math.isfinite(row.difference):
        return ["-", ""]
    interval = f"[{number(row.low)}, {number(row.high)}]" if math.isfinite(row.low) else ""
    relative = f"{percent(row.relative)} %" if math.isfinite(row.relative) else ""
    return [f"{number(row.difference)} {interval}".rstrip(), relative]


def divergence(row: Any) -> str:
    """How many runs of a condition diverged; empty where none did."""
    if not row.diverged:
        return ""
    if row.diverged < row.n:
        return f"{row.diverged} of {row.n} diverged"
    return f"all {row.n} diverged" if row.n > 1 else "diverged"


def fixed(rows: list[Any]) -> Callable[[float], str]:
    """A way to write all numbers: 4 digits of the largest mean, and 3 of the largest difference."""
    decimals = max(
        decimals_for((row.mean for row in rows), 4),
        decimals_for((row.difference for row in rows), 3),
    )

    def number(value: float) -> str:
        if math.isnan(value):
            return "-"
        if math.isinf(value):
            return "diverged"
        # An exponent keeps tiny scores short.
        return f"{value:.{decimals}f}" if decimals <= 6 else f"{value:.2e}"

    return number


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def p_value(value: float) -> str:
    """As journals write it: .031, < .001; a dash where there is none."""
    if math.isnan(value):
        return "-"
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
