"""The names of what a run leaves, and the writing and reading of its records."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

CONFIG = "config.yaml"
METRICS = "metrics.json"
HISTORY = "history.csv"
DONE = "DONE"
FAILED = "FAILED"


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
