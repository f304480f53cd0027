"""The names of what a run leaves, and the writing and reading of its records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from activae.config.own_code import refuse_edited
from activae.config.settling import CONFIG, container, read
from activae.errors import ConfigError
from activae.training.files import FOLDER, write_whole

METRICS = "metrics.json"
HISTORY = "history.csv"
DONE = "DONE"
FAILED = "FAILED"
SAMPLER = "sampler.pt"  # of new samples
TRAINING = "train"  # TensorBoard's events of the training data's curves, where a run is alone
CLAIM = ".claim"  # locked by the process that is at work on the run

STATUSES = ("completed", "pruned", "diverged")  # what DONE may say
# What a run writes by these names or others like them; what else lies there is not touched.
_OWN = {CONFIG, METRICS, HISTORY, DONE, FAILED, CLAIM, FOLDER, ".hydra"}
_OWN |= {"projector_config.pbtxt", TRAINING}
_OWN_ENDINGS = (".log", ".partial")


def record(cfg: DictConfig, folder: Path) -> None:
    """Write a settled config into its run's folder, made if need be.

    Raises ConfigError if another run, or one that has ended, is there already, or a link in the
    place of something that a run writes, or code of the user's own has been edited since.
    """
    refuse_edited(container(cfg))
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder)
    file = folder / CONFIG
    advice = "choose another folder: hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER for a sweep"
    if ended(folder):
        raise ConfigError(f"{folder}: a run has ended here already; {advice}")
    if file.exists() and _differs(saved := read(file), cfg):
        if not _differs(saved, cfg, code=False):  # so it names nothing that this one does not
            refuse_edited(container(saved))
        raise ConfigError(f"{folder}: belongs to a run with another {CONFIG}; {advice}")
    write_text(file, OmegaConf.to_yaml(cfg))


def overrides(folder: Path) -> list[str] | None:
    """The lines that Hydra noted a run was launched with; None where they cannot be read."""
    try:
        lines = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_bytes())
    except (OSError, yaml.YAMLError, ValueError):
        return None
    return [str(line) for line in lines] if isinstance(lines, list) else None


def _differs(saved: DictConfig, cfg: DictConfig, *, code: bool = True) -> bool:
    """Whether a saved config is another than a settled one; it may be from before `own_code`.

    By other names of its options it is the same, and with another sampler, which is fitted when it
    has ended. code: whether the user's own code counts, beside its name.
    """
    known, own = container(saved), container(cfg)
    noted = known["own_code"] if code else None
    same = {key: own[key] for key in ("choices", "sampler")}
    alike = {"own_code": noted or own["own_code"], **same}
    return bool(known | alike != own)


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write metrics.json. Raises ValueError for NaN and infinity, which JSON doesn't know."""
    write_text(folder / METRICS, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def write_text(file: Path, text: str, *, durable: bool = True) -> None:
    """Write the file whole or not at all: see `write_whole`."""
    write_whole(file, text.encode(), durable=durable)


def close(folder: Path, status: str) -> None:
    """Mark the run as ended: nothing in the folder will change any more."""
    write_text(folder / DONE, f"{status}\n")


def ended(folder: Path) -> str | None:
    """How the run in a folder ended; None where there is something left to do.

    A DONE that says something else, or has no whole metrics.json beside it, closes nothing: such a
    run is scored anew from its checkpoints.
    """
    try:
        status = (folder / DONE).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return status if status in STATUSES and read_metrics(folder) is not None else None


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """What metrics.json holds; None where it is missing or damaged."""
    try:
        metrics = json.loads((folder / METRICS).read_text())
    except (OSError, ValueError):
        return None
    return metrics if isinstance(metrics, dict) else None


def refuse_links(folder: Path) -> None:
    """Raise ConfigError where a link stands for something that a run writes: it may lead anywhere.

    The folder itself may be a link, or lie in one.
    """
    for path in _written(folder):
        if path.is_symlink():
            raise ConfigError(
                f"{path}: is a link, through which a run would write to {os.readlink(path)}; put "
                "what it leads to in its place, or remove it"
            )


def _written(folder: Path) -> Iterator[Path]:
    """What lies in a folder by a name that a run gives, and all that lies in folders of these."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        name = path.name
        projector = name.isdigit()  # TensorBoard's, by the step
        if not (name in _OWN or name.endswith(_OWN_ENDINGS) or projector or "tfevents" in name):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from path.rglob("*")
