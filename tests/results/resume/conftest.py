"""Runs that are stopped, and the comparison of where they end once resumed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.data import module as data_module
from activae.results.run import train
from activae.results.run_folder import DONE, HISTORY, METRICS
from activae.training import checkpoint
from activae.training.checkpoint import BEST, LAST, load_checkpoint

Small = Callable[..., DictConfig]


@pytest.fixture(autouse=True)
def chunks_end_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "STEPS_PER_CHUNK", 3)


@pytest.fixture(autouse=True)
def every_epoch_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_WRITES", -1.0)


@pytest.fixture
def small(compose: Callable[..., DictConfig]) -> Small:
    """`small(*overrides)`: 126 samples, so 4 steps an epoch, the last one short; 6 epochs."""

    def composed(*overrides: str) -> DictConfig:
        return compose(
            "trainer=cpu",
            "logger=minimal",
            "logger.progress_bar=false",
            "data.train_fraction=0.1",
            "trainer.max_epochs=6",
            *overrides,
        )

    return composed


@pytest.fixture
def uninterrupted(tmp_path: Path, small: Small) -> Callable[..., Path]:
    """`uninterrupted(*overrides)`: folder of a small run that went through."""

    def run(*overrides: str) -> Path:
        folder = tmp_path / "uninterrupted"
        train(small(*overrides), folder)
        return folder

    return run


@pytest.fixture
def history() -> Callable[[Path], list[dict[str, str]]]:
    """`history(folder)`: the rows of history.csv without what the clock said."""
    return _history


@pytest.fixture
def metrics() -> Callable[[Path], dict[str, Any]]:
    """`metrics(folder)`: metrics.json without what was measured of the machine."""
    return _metrics


@pytest.fixture
def assert_same_end() -> Callable[[Path, Path], None]:
    """Weights, optimizer, random state, history and scores agree to the last bit."""

    def compare(folder: Path, expected: Path) -> None:
        for name in (BEST, LAST):
            found, wanted = load_checkpoint(folder / name), load_checkpoint(expected / name)
            assert found.keys() == wanted.keys()
            different = {key for key in found if not _identical(found[key], wanted[key])}
            # Seconds, and the epochs that Lightning counts from the start of each process.
            assert different <= {"seconds", "callbacks"}, name
        assert _history(folder) == _history(expected)
        assert _metrics(folder) == _metrics(expected)
        assert (folder / DONE).read_text() == (expected / DONE).read_text()

    return compare


def _history(folder: Path) -> list[dict[str, str]]:
    with (folder / HISTORY).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def _metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / METRICS).read_text())
    for measured in ("seconds", "steps_per_second", "peak_memory_mb"):
        found.pop(measured)
    return found


def _identical(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_identical(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_identical, one, other))
    return bool(one == other)
