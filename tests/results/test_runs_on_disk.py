"""Whole runs on an array that stays on disk: results, resuming, sweeps, memory."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from activae.config.settling import settle
from activae.results.run import TrainingDiverged, train
from activae.sweeps.stack import why_not_stackable
from activae.sweeps.stack.batches import Timetable
from activae.training.assembly import build_data, build_model
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.module import Interrupted

Compose = Callable[..., DictConfig]

ROOT = Path(__file__).parents[2]
SHORT = (
    "data=array",
    "data.batch_size=32",
    "data.source.buffer_mb=0.1",
    "encoding.dim=2",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "logger=minimal",
    "logger.progress_bar=false",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """2000 vectors of 12 numbers, which 2 explain but for a tenth of noise."""
    random = np.random.default_rng(0)
    values = random.normal(size=(2000, 2)) @ random.normal(size=(2, 12))
    np.save(tmp_path / "mine.npy", (values + 0.1 * random.normal(size=values.shape)).astype("f4"))
    return tmp_path / "mine.npy"


@pytest.fixture
def run(compose: Compose, file: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`run(folder, *overrides)`: what metrics.json holds of a run that keeps the file on disk."""

    def trained(folder: str, *overrides: str) -> dict[str, Any]:
        of_file = (f"data.path='{file}'", "data.source.in_memory=false")
        return train(compose(*SHORT, *of_file, *overrides), tmp_path / folder)

    return trained


def test_it_learns_what_a_run_in_memory_learns(run: Callable[..., dict[str, Any]]) -> None:
    longer = (
        "trainer.max_epochs=8",
        "activation=identity",
        "optimizer.lr=0.003",
        "scheduler=constant",
    )
    on_disk = run("disk", *longer)
    in_memory = run("memory", *longer, "data.source.in_memory=true")

    assert on_disk["steps"] == in_memory["steps"]
    for stage in ("train", "val", "test"):
        assert on_disk[stage]["SE"] == pytest.approx(in_memory[stage]["SE"], rel=1e-4)
        assert on_disk["pca"][stage]["SE"] == pytest.approx(in_memory["pca"][stage]["SE"], rel=1e-4)
    assert on_disk["parameters"] == in_memory["parameters"]


def test_a_run_that_was_interrupted_within_an_epoch_ends_as_if_it_had_not_been(
    run: Callable[..., dict[str, Any]],
    stopping_after: Callable[[int], AbstractContextManager[None]],
    tmp_path: Path,
) -> None:
    with stopping_after(60), pytest.raises(Interrupted):
        run("cut")
    run("cut")
    run("whole")

    cut, whole = (load_checkpoint(tmp_path / name / LAST) for name in ("cut", "whole"))
    assert cut["global_step"] == whole["global_step"] == 88
    for name, value in whole["state_dict"].items():
        torch.testing.assert_close(cut["state_dict"][name], value, rtol=0, atol=0)


def test_a_divergence_is_located(run: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(TrainingDiverged, match=r"at step \d+, is the first that is not finite"):
        run("diverged", "optimizer.lr=1e30")


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_it_trains_in_any_precision(run: Callable[..., dict[str, Any]], precision: str) -> None:
    found = run("other", f"trainer.precision={precision}", "trainer.max_steps=3")

    assert np.isfinite(found["test"]["SE"])


def test_it_is_not_stacked_and_says_why(compose: Compose, file: Path) -> None:
    cfg = settle(compose(*SHORT, f"data.path='{file}'", "data.source.in_memory=false"))
    data = build_data(cfg)

    reason = why_not_stackable(cfg, build_model(cfg, data), data)

    assert reason is not None
    assert "its samples stay on disk (data.source.in_memory)" in reason


def test_stacked_runs_of_a_large_array_in_memory_see_the_batches_of_plain_ones(
    compose: Compose, file: Path
) -> None:
    cfg = settle(compose(*SHORT, f"data.path='{file}'", "data.source.in_memory=true"))
    data = build_data(cfg)
    model = build_model(cfg, data)
    model.data = data
    assert len(data.order.windows(0, 0)) > 1

    (group,) = Timetable().next_chunk([model]).groups

    for step, batch in enumerate(data.batches(0, 20)):
        assert group.at(step)[0].equal(batch)


MEASURE = """
import json, sys
from pathlib import Path
import hydra
from activae.config import names
from activae.config import schema
from activae.results.run import train

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))

schema.register()
names.register()
found = []
for name in ("small.npy", "large.npy"):
    with hydra.initialize_config_dir(sys.argv[1], version_base="1.3"):
        cfg = hydra.compose("train", [f"data.path={name}", *sys.argv[2:]])
    train(cfg, Path(name).with_suffix(""))
    found.append(peak())
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak")
def test_memory_does_not_grow_with_the_file(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    block = np.random.default_rng(0).random((4000, 256), dtype=np.float32)
    for name, blocks in (("small", 4), ("large", 72)):
        shape = (4000 * blocks, 256)
        file = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, shape)
        for number in range(blocks):
            file[4000 * number : 4000 * (number + 1)] = np.roll(block, number, axis=0)
        file.flush()
        del file
    settings = ("data.source.in_memory=false", "data.source.buffer_mb=32", "data.batch_size=512")
    settings += ("trainer.threads=1", "trainer.max_epochs=1")
    size = (tmp_path / "large.npy").stat().st_size / 1e6
    assert size > 290

    result = python("-c", MEASURE, str(ROOT / "configs"), *SHORT[:1], *SHORT[3:], *settings)

    assert result.returncode == 0, result.stderr
    small, large = json.loads(result.stdout.splitlines()[-1])
    assert large - small < size / 3, (small, large)
