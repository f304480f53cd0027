"""From a folder to a Run: a run's own folder, or that of a sweep, whose best run is taken."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from activae.compare.collect import DIVERGED, DONE, read_runs
from activae.config.settling import CONFIG
from activae.errors import ConfigError, UserError
from activae.results.run_folder import ended, read_metrics
from activae.training.files import BEST
from activae.training.restoring import load_network
from activae.use.run import Run

log = logging.getLogger(__name__)

_CHOICE = "val/SE"
# What errors are measured on: with other values of these they are no longer comparable.
_SAME = ("data", "data.path", "data.content", "data.normalisation", "data.source.binarise")


def load(
    path: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    trusted: Sequence[str] = (),
) -> Run:
    """Open a finished run to put it to work; nothing but its folder is needed.

    No code of the folder is run: tensors and plain values are read, and what the config names is
    checked first. Of a run that has not ended, the best checkpoint so far is taken.

    Args:
        path: a run's folder; or a sweep's, or any that holds runs on the same data: the one with
            the least SE on the validation split is taken, and named in the log.
        device: where to compute: "cpu", "cuda", "cuda:1", "mps".
        trusted: modules beside our own that the run's config may name; they are imported.

    Raises:
        ConfigError: the config names what is not trusted, or there is no such device.
        DataError: a file is damaged or missing.
        UserError: the folder holds no run, or none of its runs is done, or the run diverged at
            once; or path is none.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UserError(f"path={path!r}: give the folder of a run or of a sweep")
    folder = Path(path).expanduser()
    if not (folder / CONFIG).is_file():
        folder = winner(folder)
    where = _device(device)
    if ended(folder) == DIVERGED and not (folder / BEST).exists():
        raise UserError(
            f"{folder}: this run diverged before its first epoch had ended, so that there is no "
            "network to use; train it again at a smaller rate (optimizer.lr)"
        )
    restored = load_network(folder, trusted)
    metrics = read_metrics(folder) or {}
    if ended(folder) is None:
        log.warning("%s: this run has not ended: its best checkpoint so far is taken", folder)
    return Run(folder, restored, metrics, where)


def winner(folder: Path) -> Path:
    """The folder of the best run below one: the least SE/val of those that are done.

    Raises UserError where there is none, or they were trained on different data.
    """
    table = read_runs([folder]).table
    done = table[table["status"] == DONE]
    if _CHOICE not in done or done[_CHOICE].isna().all():
        raise UserError(f"{folder}: none of its {len(table)} runs is done: name the folder of one")
    for key in _SAME:
        found = done[key].fillna("null").unique() if key in done else ()
        if len(found) > 1:
            values = ", ".join(map(str, found[:4]))
            raise UserError(
                f"{folder}: its runs differ in {key} ({values}), so that their errors cannot be "
                "compared: name the folder of one, or of runs that share it"
            )
    best = done.loc[done[_CHOICE].idxmin()]
    log.info("run    %s: %s %.4g, the least of %d", best["path"], _CHOICE, best[_CHOICE], len(done))
    return Path(best["path"])


def _device(name: str | torch.device) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        kinds = ["cpu"]
        if torch.cuda.is_available():
            kinds += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        if torch.backends.mps.is_available():
            kinds.append("mps")
        raise ConfigError(
            f"device={name}: torch cannot compute there; here it can on {', '.join(kinds)}"
        ) from error
    return device
