"""What goes wrong around a run: full disks, folders that cannot be written, odd but legal data."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from activae.results.run import train
from activae.training.checkpoint import BEST, LAST, load_checkpoint

Compose = Callable[..., DictConfig]
TRAIN = str(Path(__file__).parents[2] / "train.py")

QUICK = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=6",
)

# Runs train.py under a limit to the size of files, from the third writing of checkpoints on.
LIMITED = f"""
import resource, runpy, signal, sys
from activae.training import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoint.SECONDS_BETWEEN_WRITES = 0.0
write, calls = checkpoint.RunCheckpoint.write, []
def limited(self):
    calls.append(self)
    if len(calls) == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    write(self)
checkpoint.RunCheckpoint.write = limited
sys.argv[0] = {TRAIN!r}
runpy.run_path({TRAIN!r}, run_name="__main__")
"""


def test_the_last_good_checkpoint_survives_a_disk_that_fills_while_saving(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ended = python("-c", LIMITED, *QUICK, "hydra.run.dir=run")

    assert ended.returncode == 1
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said
    assert "File too large" in said
    assert "best.ckpt" in said
    assert "continue with: python train.py resume=" in said
    for name in (BEST, LAST):
        assert load_checkpoint(tmp_path / "run" / name)["global_step"] in (4, 8)
    assert not list((tmp_path / "run" / "checkpoints").glob("*.partial"))
    assert python(TRAIN, "resume=run").returncode == 0


def test_an_output_folder_that_cannot_be_made(train_py: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    outcome = train_py(*QUICK, "hydra.run.dir=file/run")

    outcome.assert_one_error("file/run", "hydra.run.dir=FOLDER")


def test_an_output_folder_that_may_not_be_written(
    train_py: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir

    def refused(self: Path, *arguments: Any, **options: Any) -> None:
        if "outputs" in str(self):
            raise PermissionError(13, "Permission denied", str(self))
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refused)

    train_py(*QUICK).assert_one_error("outputs", "Permission denied", "hydra.run.dir=FOLDER")


def test_a_code_as_large_as_its_input_is_remarked_on(
    compose: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(compose(*QUICK, "encoding.dim=64", "trainer.max_steps=2"), tmp_path / "64")
    assert "encoding.dim=64 is no smaller than the 64 values of a sample" in caplog.text

    caplog.clear()
    with caplog.at_level(logging.WARNING):
        train(compose(*QUICK, "encoding.dim=63", "trainer.max_steps=2"), tmp_path / "63")
    assert "encoding.dim" not in caplog.text


@pytest.mark.parametrize("logger", ["tensorboard", "minimal"])
def test_data_without_labels_train_like_any(logger: str, compose: Compose, tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.random.default_rng(0).normal(size=(80, 12)))
    overrides = [override for override in QUICK if not override.startswith("logger=")]
    cfg = compose(
        *overrides, "data=array", f"data.path='{tmp_path / 'plain.npy'}'", f"logger={logger}"
    )

    metrics = train(cfg, tmp_path / "run")

    assert metrics["status"] == "completed"
    assert torch.tensor(metrics["test"]["SE"]).isfinite()
