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
BEST = "checkpoints/best.ckpt"
LAST = "checkpoints/last.ckpt"


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write metrics.json whole or not at all."""
    partial = folder / f"{METRICS}.partial"
    partial.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    os.replace(partial, folder / METRICS)


def close(folder: Path, status: str) -> None:
    """Mark the run as ended: nothing in the folder will change any more."""
    (folder / DONE).write_text(f"{status}\n")


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and primitives, on the CPU; never runs code from the file."""
    import torch  # here, because the names above are wanted where torch is not

    return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
