"""A run as a folder to pass on, as model hubs show them: weights, config, data, card, picture.

`activae.load(folder)` opens it, with the same numbers bit for bit (`training.published`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from activae.config.settling import CONFIG
from activae.data.preparation import stored
from activae.errors import ConfigError, DataError
from activae.results.run_folder import DONE, METRICS, ended, write_text
from activae.training.files import BEST, write_whole
from activae.training.published import DATA, WEIGHTS, serialised
from activae.use.card import PICTURE, card

if TYPE_CHECKING:
    from activae.use.run import Run

CARD = "README.md"
_SHOWN = ("reconstructions/test", "reconstructions/val")  # what TensorBoard calls the pictures
_PNG = b"\x89PNG\r\n\x1a\n"


def publish(
    run: Run, target: Path, licence: str | None = None, samples: Path | None = None
) -> None:
    """Write the folder: all that `activae.load` needs, and a card.

    licence: what the card names. samples: a file or folder of images that the card shows over their
    reconstructions; None: those that the run's TensorBoard events show, if they do. Raises
    ConfigError where safetensors is not installed or the target is something else's folder.
    """
    _refuse_others(target)
    state = {
        f"{name}.{key}": value
        for name, module in (("net", run.network), ("normalisation", run.normalisation))
        for key, value in module.state_dict().items()
    }
    weights = serialised(state)
    data = {"spec": run.spec.to_dict(), "preparation": stored(run.preparation)}
    target.mkdir(exist_ok=True)
    for name in (DONE, METRICS, PICTURE):  # of an earlier export that had them
        (target / name).unlink(missing_ok=True)
    write_text(target / DATA, json.dumps(data, indent=1) + "\n")
    _picture(run, samples, target / PICTURE)
    write_whole(target / CONFIG, (run.folder / CONFIG).read_bytes())
    if run.metrics:
        write_text(target / METRICS, json.dumps(run.metrics, indent=2) + "\n")
    write_text(target / CARD, card(run, licence, (target / PICTURE).exists()))
    write_whole(target / WEIGHTS, weights)
    status = ended(run.folder)
    if status is not None:
        write_text(target / DONE, f"{status}\n")


def _refuse_others(target: Path) -> None:
    """Raise ConfigError for a folder that holds something, unless it was exported earlier.

    Or began to be: then it holds nothing but what an export writes, DATA first of all.
    """
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target}: is a file; give the name of a folder")
    is_ours = (target / WEIGHTS).is_file() and not (target / BEST).exists()
    if target.is_dir() and not is_ours:
        names = {each.name.removesuffix(".partial") for each in target.iterdir()}
        is_ours = DATA in names and names <= {DATA, WEIGHTS, CONFIG, METRICS, CARD, PICTURE, DONE}
    if target.is_dir() and any(target.iterdir()) and not is_ours:
        raise ConfigError(f"{target}: holds something else than an exported run; give another name")


def _picture(run: Run, samples: Path | None, target: Path) -> None:
    """Originals over reconstructions, where the run is on images and there are some to show."""
    if samples is not None:
        if not run.spec.is_image:
            raise DataError(
                f"--samples={samples}: is for runs on images, and this one has {run.spec.kind}s"
            )
        from activae.use.transforming import write_sheet

        write_sheet(run, samples, target)
        return
    if not run.spec.is_image:
        return
    published = run.folder / PICTURE
    if published.is_file():
        write_whole(target, published.read_bytes())
        return
    drawn = dict(_drawn(run.folder))
    shown = next((drawn[tag] for tag in _SHOWN if tag in drawn), None)
    if shown is not None:
        write_whole(target, shown)


def _drawn(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Tag and PNG of the pictures in a run's TensorBoard events; damaged files have none."""
    files = sorted(folder.glob("events.out.tfevents.*"))
    if not files:
        return
    # TensorBoard's own switch against importing TensorFlow, which takes seconds.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    for file in files:
        with suppress(Exception):  # of damaged events, which nothing here depends on
            for event in EventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    if value.tag in _SHOWN:
                        yield from _png(value)


def _png(value: Any) -> Iterator[tuple[str, bytes]]:
    content = value.tensor.string_val[2]  # after width and height
    if content.startswith(_PNG):
        yield value.tag, content
