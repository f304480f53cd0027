"""Originals above their reconstructions, as runs on images left them in TensorBoard's events."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
from pathlib import Path

from activae.compare.answer import Answer
from activae.compare.collect import DONE
from activae.compare.pairing import SEED
from activae.compare.report.facets import at_best_lr, facets
from activae.compare.report.markup import Section, grid, note
from activae.results.events import records

_TAG = "reconstructions"  # of the pictures; with /test or /val that of the best checkpoint
_SHOWN = 6
_EVENTS = "*tfevents*"
_MOST_EVENTS = 64 << 20  # bytes of a file that is looked into
_BUDGET = 900 << 10  # bytes of all pictures: the page is to stay below 2 MB
_PNG = b"\x89PNG\r\n\x1a\n"


def reconstructions(answer: Answer) -> Iterator[Section]:
    """One run of each contender and of the worst, all with the same seed and its split."""
    title, runs = next(iter(facets(answer.paired, at_best_lr(answer.paired))))
    runs = runs[runs["status"] == DONE]
    order = [str(name) for name in answer.table["condition"] if (runs["condition"] == name).any()]
    chosen = order if len(order) <= _SHOWN else [*order[: _SHOWN - 1], order[-1]]
    for seed in answer.paired.seeds[:1]:
        of_seed = runs[runs[SEED] == seed].drop_duplicates("condition").set_index("condition")
        paths = {name: Path(of_seed["path"][name]) for name in chosen if name in of_seed.index}
        figures = list(_figures(paths))
        if figures:
            said = (
                f"Each image above its reconstruction, by the run with seed {seed}"
                f"{f' ({title})' if title else ''}. The best first"
                f"{', the worst last' if len(chosen) < len(order) else ''}."
            )
            yield Section("pictures", "What they reconstruct", grid(figures) + note(said))


def _figures(paths: dict[str, Path]) -> Iterator[str]:
    """As many as the page has room for."""
    left = _BUDGET
    for name, path in paths.items():
        png = last_picture(path)
        if png is not None and len(png) <= left:
            left -= len(png)
            yield _figure(name, png)


def _figure(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure><h3>{escape(name)}</h3><img src="data:image/png;base64,{data}" '
        f'alt="images above their reconstructions by {escape(name)}"></figure>'
    )


def last_picture(run: Path) -> bytes | None:
    """The newest picture of reconstructions in a run's events, as PNG; None where there is none."""
    try:
        files = sorted(run.glob(_EVENTS), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for file in files:
            pictures = list(_pictures(file)) if file.stat().st_size <= _MOST_EVENTS else []
            if pictures:
                return pictures[-1]
    except OSError:  # a picture less costs no answer
        return None
    return None


def _pictures(file: Path) -> Iterator[bytes]:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    for record in records(file.read_bytes()):
        try:
            event = Event.FromString(record)
        except DecodeError:  # damaged, or of another make
            return
        for value in event.summary.value:
            png = value.image.encoded_image_string
            is_ours = value.tag.partition("/")[0] == _TAG
            if is_ours and png.startswith(_PNG):
                yield png
