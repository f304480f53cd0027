"""`python train.py -m ... | head -1`: what happens when nobody reads on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TRAIN_PY = Path(__file__).parents[2] / "train.py"
SWEEP = ("-m", "sweep=s", "activation=relu,tanh", "trainer=cpu", "logger=minimal")


def test_a_sweep_ends_quietly_and_goes_on_when_asked_to(
    train_py: Callable[..., Any], tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TRAIN_PY.parent / "src")}
    command = [sys.executable, str(TRAIN_PY), *SWEEP, "trainer.max_epochs=3"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().decode()
    assert process.returncode == 128 + signal.SIGPIPE
    assert told == "interrupted; continue with: python train.py resume=outputs/sweeps/s\n"

    outcome = train_py("resume=outputs/sweeps/s")
    assert outcome.code == 0, outcome.text
    runs = [json.loads(f.read_text()) for f in tmp_path.glob("outputs/sweeps/s/*/metrics.json")]
    assert [each["status"] for each in runs] == ["completed", "completed"]
