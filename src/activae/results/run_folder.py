"""The names of what a run leaves, and the writing and reading of its records."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from activae.config.settling import CONFIG, container, read
from activae.errors import ConfigError

METRICS = "metrics.json"
HISTORY = "history.csv"
DONE = "DONE"
FAILED = "FAILED"


def record(cfg: DictConfig, folder: Path) -> None:
    """Write a settled config into its run's folder, made if need be.

    Raises ConfigError if another run, or one that has ended, is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / CONFIG
    advice = "choose another folder: hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER for a sweep"
    if (folder / DONE).exists():
        raise ConfigError(f"{folder}: a run has ended here already; {advice}")
    if file.exists() and container(read(file)) != container(cfg):
        raise ConfigError(f"{folder}: belongs to a run with another {CONFIG}; {advice}")
    write_text(file, OmegaConf.to_yaml(cfg))


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write metrics.json. Raises ValueError for NaN and infinity, which JSON doesn't know."""
    write_text(folder / METRICS, json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write the file whole or not at all: a process killed here leaves what was there before."""
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(text)
    os.replace(partial, file)


def close(folder: Path, status: str) -> None:
    """Mark the run as ended: nothing in the folder will change any more."""
    write_text(folder / DONE, f"{status}\n")
