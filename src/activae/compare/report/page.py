"""The report: an answer as one HTML file that needs nothing else, not even a network.

In: an Answer. Out: text. Names, paths and figures come from the folders of strangers: every one
passes through `escape`, and the page's policy lets no script run but its own.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from activae.compare.answer import Answer, percent
from activae.compare.report.causes import cost, why
from activae.compare.report.curves import learning_curves
from activae.compare.report.holds import holds
from activae.compare.report.intervals import NARROW, OFF_SCALE, intervals, plain, signed
from activae.compare.report.markup import Cell, Section, note, table, with_command
from activae.compare.report.methods import footer, methods
from activae.compare.report.pictures import pictures
from activae.compare.report.raced import race_of, raced
from activae.compare.report.rates import valleys
from activae.compare.terminal import fixed, heading, kept_together, p_value
from activae.config.wording import counted
from activae.training.files import write_whole

_HERE = Path(__file__).parent


Sections = Callable[[Answer], Iterator[Section]]


def write_page(answer: Answer, file: Path) -> None:
    """Write the report, whole or not at all. Raises OSError."""
    write_whole(file, page(answer).encode(), durable=False)


def page(answer: Answer) -> str:
    """The report on an answer: what there is to say for it, section by section."""
    sections = [section for part in _PARTS for section in part(answer)]
    title = f"{answer.factor}: {answer.verdict}"
    return document(title, header(answer, sections), sections)


def document(title: str, head: str, sections: list[Section]) -> str:
    """A page of sections below a header."""
    script = (_HERE / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    body = "\n".join([head, *map(_html, sections), footer()])
    return Template((_HERE / "page.html").read_text()).substitute(
        title=escape(title), hash=digest, script=script, body=body
    )


def _html(section: Section) -> str:
    return (
        f'<section id="{section.name}">\n<h2>{escape(section.title)}</h2>\n{section.body}\n'
        "</section>"
    )


def header(answer: Answer, sections: list[Section]) -> str:
    """What was compared, the verdict, and links to the sections."""
    paired = answer.paired
    data = list(dict.fromkeys(map(str, paired.runs.get("data", ()))))
    more = len(data) > 1
    facts = [
        f"{counted(len(paired.runs), 'run')} of {len(paired.conditions)} conditions",
        counted(len(paired.seeds), "seed"),
        *([f"{len(data)} data sets: {', '.join(data)}" if more else data[0]] if data else []),
        f"{answer.metric}, {'less' if paired.sign > 0 else 'more'} is better",
    ]
    race = race_of(answer)
    own = race is not None and race.verdict == answer.verdict
    below = [race.guarantee] if race is not None and own else answer.plan
    plan = "".join(f"<p>{with_command(said[:1].upper() + said[1:])}</p>" for said in below)
    links = "".join(f'<a href="#{s.name}">{escape(s.title)}</a>' for s in sections)
    return (
        f'<header>\n<p class="over">{escape(" · ".join(facts))}</p>\n'
        f"<h1>{_verdict(answer.verdict)}</h1>\n{plan}<nav>{links}</nav>\n</header>"
    )


def _verdict(verdict: str) -> str:
    """The verdict with a capital, and the names of the best in colour where it starts with them."""
    said = kept_together(verdict)
    for ending in (" is best", " are best"):
        names, found, rest = said.partition(ending)
        if found:
            return f"<em>{escape(names)}</em>{ending}{escape(rest)}."
    return f"{escape(said[:1].upper() + said[1:])}."


def of_intervals(answer: Answer) -> Iterator[Section]:
    """The differences to the best, with every seed."""
    said = (
        f"Each dot is a seed: its run's {answer.metric} minus that of {answer.reference} with the "
        "same seed. The thick line is the 95 % interval of their mean (Student's t), each by "
        "itself. Discs cannot be told from the best when all comparisons are allowed for; rings "
        "can."
    )
    wide = intervals(answer)
    if OFF_SCALE in wide:
        said += " An arrow leads off the scale."
    figure = f"<figure>{wide}{intervals(answer, NARROW)}</figure>"
    is_best = answer.reference == answer.table["condition"].iloc[0]
    title = "How much worse than the best" if is_best else f"Differences to {answer.reference}"
    yield Section("intervals", title, f"{figure}{note(said)}")


def of_table(answer: Answer) -> Iterator[Section]:
    """The table of conditions."""
    rows = list(answer.table.itertuples())
    number = fixed(rows)
    with_iqm = bool(answer.table["iqm"].notna().any())
    heads = [heading(answer), "seeds", answer.metric, "sd", *(["IQM"] if with_iqm else [])]
    heads += ["difference", "95 % interval", "relative", "P(better)", "p"]
    cells = []
    for row in rows:
        line = [
            Cell(escape(str(row.condition)), str(row.condition)),
            Cell(_seeds(row), row.n),
            _number(row.mean, number),
            _number(row.sd, number),
            *([_number(row.iqm, number)] if with_iqm else []),
        ]
        reference = row.condition == answer.reference
        cells.append(line + _against(row, number, reference))
    said = (
        f"Differences are to {answer.reference}, seed by seed. P(better): the chance that a run of "
        "the row is better than one of it. p: adjusted for all comparisons, so that one of them "
        "is wrongly found in 5 % of sweeps. Click a heading to sort."
    )
    body = table(heads, cells, answer.best, f"{answer.metric} by {answer.factor}")
    yield Section("table", "In figures", f"{body}{note(said)}")


def _seeds(row: Any) -> str:
    return f"{row.n} ({row.diverged} diverged)" if row.diverged else str(row.n)


def _number(value: float, number: Callable[[float], str]) -> Cell:
    return Cell(plain(number(value)), float(value))


def _against(row: Any, number: Callable[[float], str], reference: bool) -> list[Cell]:
    """The cells that compare a condition with the reference."""
    if reference:
        return [Cell("reference", 0.0), Cell(""), Cell("", 0.0), Cell("", 0.5), Cell("", 1.0)]
    is_known = math.isfinite(row.low)
    interval = f"[{plain(number(row.low))}, {plain(number(row.high))}]" if is_known else ""
    share = row.relative
    relative = signed(f"{percent(share)} %") if math.isfinite(share) else ""
    return [
        Cell(_difference(row, number), float(row.difference)),
        Cell(interval, float(row.low)),
        Cell(relative, float(share)),
        Cell("–" if math.isnan(row.p_better) else f"{row.p_better:.2f}", float(row.p_better)),
        Cell(escape(plain(p_value(row.p))), float(row.p)),
    ]


def _difference(row: Any, number: Callable[[float], str]) -> str:
    if math.isfinite(row.difference):
        return signed(number(row.difference))
    return "diverged" if row.diverged else "–"


def of_caveats(answer: Answer) -> Iterator[Section]:
    """What weakens the answer."""
    if answer.caveats:
        items = "".join(f"<li>{with_command(caveat)}</li>" for caveat in answer.caveats)
        yield Section("caveats", "What weakens this", f'<ul class="caveats">{items}</ul>')


# From what is asked first to what is looked up.
_PARTS: list[Sections] = [
    *(of_intervals, of_table, of_caveats),
    *(raced, holds, learning_curves, valleys, why, pictures, cost, methods),
]
