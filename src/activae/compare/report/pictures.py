"""Reconstructions and new samples, as runs on images left them in TensorBoard's events."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from activae.compare.answer import Answer
from activae.compare.collect import DONE
from activae.compare.pairing import SEED, enumerated
from activae.compare.report.facets import at_best_lr, facets
from activae.compare.report.markup import Section, grid, note
from activae.results.events import records
from activae.results.run_folder import SAMPLER

_SHOWN = 6
_EVENTS = "*tfevents*"
_MOST_EVENTS = 64 << 20  # bytes of a file that is looked into
_BUDGET = 900 << 10  # bytes of all pictures: the page is to stay below 2 MB
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class _Kind:
    """tag: in the events; with /test or /val behind it that of the best checkpoint.

    by_sampler: whether it shows what the run's sampler draws, which may be fitted anew.
    """

    tag: str
    title: str
    content: str
    by_sampler: bool = False


_KINDS = (
    _Kind("reconstructions", "What they reconstruct", "each image above its reconstruction"),
    _Kind(
        *("samples", "What they generate", "new images, of codes that its sampler or prior draws"),
        by_sampler=True,
    ),
)


def pictures(answer: Answer) -> Iterator[Section]:
    """One run of each contender and of the worst, all with the same seed and its split."""
    title, runs = next(iter(facets(answer.paired, at_best_lr(answer.paired))))
    runs = runs[runs["status"] == DONE]
    order = [str(name) for name in answer.table["condition"] if (runs["condition"] == name).any()]
    chosen = order if len(order) <= _SHOWN else [*order[: _SHOWN - 1], order[-1]]
    left = _BUDGET
    for seed in answer.paired.seeds[:1]:
        of_seed = runs[runs[SEED] == seed].drop_duplicates("condition").set_index("condition")
        paths = {name: Path(of_seed["path"][name]) for name in chosen if name in of_seed.index}
        for kind in _KINDS:
            old = [name for name in paths if kind.by_sampler and _is_outdated(paths[name])]
            drawn = (name for name in paths if name not in old)
            found = _within(left, ((name, last_picture(paths[name], kind.tag)) for name in drawn))
            left -= sum(map(len, found.values()))
            if found:
                said = (
                    f"{kind.content.capitalize()}, by the run with seed {seed}"
                    f"{f' ({title})' if title else ''}. The best first"
                    f"{', the worst last' if len(chosen) < len(order) else ''}."
                )
                figures = [_figure(name, png, kind.content) for name, png in found.items()]
                if old:
                    said += (
                        f" Left out, because a sampler was fitted after what shows its samples: "
                        f"{enumerated(old)}."
                    )
                yield Section(kind.tag, kind.title, grid(figures) + note(said))


def _within(budget: int, pngs: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """As many as the page has room for."""
    found: dict[str, bytes] = {}
    for name, png in pngs:
        if png is not None and len(png) <= budget:
            budget -= len(png)
            found[name] = png
    return found


def _figure(name: str, png: bytes, content: str) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure><h3>{escape(name)}</h3><img src="data:image/png;base64,{data}" '
        f'alt="{escape(name)}: {escape(content)}"></figure>'
    )


def _is_outdated(run: Path) -> bool:
    """Whether a run's sampler was fitted after the last of its events was written."""
    try:
        fitted = (run / SAMPLER).stat().st_mtime_ns
        written = [file.stat().st_mtime_ns for file in run.glob(_EVENTS)]
    except OSError:  # it has no sampler
        return False
    return bool(written) and max(written) < fitted


def last_picture(run: Path, tag: str) -> bytes | None:
    """The newest picture of a tag in a run's events, as PNG; None where there is none."""
    try:
        files = sorted(run.glob(_EVENTS), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for file in files:
            small = file.stat().st_size <= _MOST_EVENTS
            pngs = list(_pictures(file, tag)) if small else []
            if pngs:
                return pngs[-1]
    except OSError:  # a picture less costs no answer
        return None
    return None


def _pictures(file: Path, tag: str) -> Iterator[bytes]:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    for record in records(file.read_bytes()):
        try:
            event = Event.FromString(record)
        except DecodeError:  # damaged, or of another make
            return
        for value in event.summary.value:
            png = value.image.encoded_image_string
            is_ours = value.tag.partition("/")[0] == tag
            if is_ours and png.startswith(_PNG):
                yield png
