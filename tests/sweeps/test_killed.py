"""A sweep killed at any moment loses nothing: every job ends once, with the same figures."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TRAIN_PY = str(HERE.parents[1] / "train.py")
SWEEP = (
    "-m",
    "activation=relu,tanh",
    "optimizer.lr=1e-3,3e-3",
    "seed=0,1,2",
    "trainer=cpu",
    "trainer.max_epochs=12",
    "logger=minimal",
    "data.train_fraction=0.3",
    "hydra.launcher.workers=2",
)
KILLS = 20


def test_a_sweep_killed_twenty_times_ends_like_one_that_was_not(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    found = {}
    for name, kills in (("whole", 0), ("killed", KILLS)):
        sweeps = f"hydra.sweep.dir={name}/${{sweep}}"
        done = python(
            str(HERE / "killed_sweep.py"), TRAIN_PY, str(kills), "1", *SWEEP, sweeps, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == f"killed {kills}", done.stdout
        found[name] = [results(sweep) for sweep in sorted((tmp_path / name).iterdir())]

    assert len(found["whole"][0]) == 12
    for sweep in found["killed"]:
        assert sweep == found["whole"][0]


def results(sweep: Path) -> dict[str, Any]:
    """What each job of a sweep came to: status, scores, the steps in its history."""
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    return {id_: result(sweep / job["folder"]) for id_, job in jobs.items()}


def result(folder: Path) -> tuple[str, dict[str, Any], list[str]]:
    metrics = json.loads((folder / "metrics.json").read_text())
    with (folder / "history.csv").open() as handle:
        steps = [row["step"] for row in csv.DictReader(handle)]
    scores = {key: metrics[key] for key in ("train", "val", "test", "best_step", "steps")}
    return (folder / "DONE").read_text(), scores, steps
