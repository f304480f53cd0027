"""An answer for TensorBoard: a folder of events, each condition a run in it.

Mean learning curves have the tags of a single run's, so that they lie among them; with their
seed bands they are charts under CUSTOM SCALARS. The folder itself is a run too: the answer as a
text, and its figures as pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from activae.compare.answer import Answer
from activae.compare.report.curves import TRAINING, VALIDATION, curves
from activae.compare.report.facets import at_best_lr, facets
from activae.compare.report.paper import png
from activae.compare.terminal import NOTE, cells
from activae.config.names import folder_name
from activae.results.events import Events

if TYPE_CHECKING:
    from activae.compare.report.charts import Series

_ENDING = ".activae-summary"
_EVENTS = f"events.out.tfevents.*{_ENDING}"
_CATEGORY = "mean of seeds, in a band from the lowest to the highest"


def write_summary(answer: Answer, folder: Path) -> None:
    """Write the events, in place of those of an earlier answer. Raises OSError.

    Other files in the folder are left alone. The picture needs matplotlib.
    """
    _remove_earlier(folder)
    names = [str(name) for name in answer.table["condition"]]
    parts = list(_parts(answer))
    with Events(folder, _ENDING) as events:
        events.text("answer", markdown(answer))
        tags = dict.fromkeys(tag for tag, _ in parts)
        if tags:
            events.bands(_CATEGORY, {tag: _three(tag) for tag in tags})
        with suppress(ImportError):  # matplotlib is not installed
            events.picture("differences", png(answer))
    for name, below in zip(names, _folders(names), strict=True):
        own = [(tag, one) for tag, one in parts if one.name == name]
        if own:
            with Events(folder / below, _ENDING) as events:
                for tag, one in own:
                    for each, values in zip(_three(tag), (one.y, one.low, one.high), strict=True):
                        events.scalars(each, one.x, values)


def _remove_earlier(folder: Path) -> None:
    """Remove the events of an earlier answer, and the folders that held nothing else."""
    for file in [*folder.glob(_EVENTS), *folder.glob(f"*/{_EVENTS}")]:
        if not file.parent.is_symlink():
            file.unlink()
            if file.parent != folder:
                with suppress(OSError):  # it holds something else
                    os.rmdir(file.parent)


def _parts(answer: Answer) -> Iterator[tuple[str, Series]]:
    """A tag and a condition's curve, for each setting that was averaged over."""
    for title, runs in facets(answer.paired, at_best_lr(answer.paired)):
        for column in (VALIDATION, TRAINING):
            for one in curves(answer, runs, column):
                yield f"{column}/{title}" if title else column, one


def _three(tag: str) -> tuple[str, str, str]:
    """The tags of a curve and its band's two ends."""
    return tag, f"lowest/{tag}", f"highest/{tag}"


def _folders(names: Sequence[str]) -> Iterator[str]:
    """A folder's name for each condition: no two alike, and none that leads elsewhere."""
    taken: set[str] = set()
    for name in names:
        wanted = folder_name(name.replace(", ", ",")).strip(".") or "condition"
        number = 1
        found = wanted
        while found.casefold() in taken:
            number += 1
            found = f"{wanted}-{number}"
        taken.add(found.casefold())
        yield found


def markdown(answer: Answer) -> str:
    """Verdict, table and caveats."""
    heads, *rows = cells(answer)
    heads = [head or "relative" for head in heads]
    lines = [f"**{_plain(answer.verdict)}**", *map(_plain, answer.plan)]
    rule = "|".join(["---", *["---:"] * (len(heads) - 1)])
    table = [_row(heads), f"|{rule}|", *map(_row, rows)]
    lines += ["\n".join(table), _plain(NOTE.format(reference=answer.reference))]
    if answer.caveats:
        lines.append("\n".join(f"- {_plain(caveat)}" for caveat in answer.caveats))
    return "\n\n".join(lines)


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(map(_plain, texts))} |"


def _plain(said: str) -> str:
    """The text without a meaning for Markdown or HTML."""
    for special in "\\`*_[]<>|#":
        said = said.replace(special, f"\\{special}")
    return " ".join(said.split())
