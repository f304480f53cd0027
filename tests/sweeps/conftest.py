"""Runs trained in a stack beside the same runs trained one at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig
from torch import Tensor

from activae.config.settling import settle
from activae.objectives.declared import total
from activae.results.run import train
from activae.results.run_folder import HISTORY, METRICS
from activae.sweeps.stack import train_stack
from activae.sweeps.stack.member import Member
from activae.sweeps.stack.stack import Stack
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.eager_step import EagerStep

# 126 training samples: 4 steps an epoch, the last one of 30 samples.
SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=3",
    "encoding=dim32",
    "scheduler=constant",
)

Settled = Callable[..., DictConfig]
Losses = dict[int, list[float]]


@pytest.fixture
def settled(compose: Callable[..., DictConfig]) -> Settled:
    """`settled(*overrides)`: the config of a small run, ready to train."""
    return lambda *overrides: settle(compose(*SMALL, *overrides))


class Runs:
    """Trains configs alone or stacked, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def folders(self, number: int) -> list[Path]:
        self.count += number
        return [self.folder / f"run{place}" for place in range(self.count - number, self.count)]

    def plain(self, configs: Sequence[DictConfig]) -> list[Path]:
        folders = self.folders(len(configs))
        for cfg, folder in zip(configs, folders, strict=True):
            train(cfg, folder)
        return folders

    def stacked(self, configs: Sequence[DictConfig]) -> list[Path]:
        folders = self.folders(len(configs))
        for outcome in train_stack(list(zip(configs, folders, strict=True))):
            if isinstance(outcome, Exception):
                raise outcome
        return folders


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


@pytest.fixture
def plain_losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loss of every step that plain runs take, as they take it."""
    losses: list[float] = []
    take_step = EagerStep.__call__

    def watched(self: EagerStep, batch: Tensor, factor: float) -> dict[str, Tensor]:
        terms = take_step(self, batch, factor)
        losses.append(total(terms).item())
        return terms

    monkeypatch.setattr(EagerStep, "__call__", watched)
    return losses


@pytest.fixture
def stacked_losses(monkeypatch: pytest.MonkeyPatch) -> Losses:
    """The loss of every step of each member, by its place among the jobs."""
    losses: Losses = {}
    places: dict[int, int] = {}
    start, step = Member.start, Stack._step

    def started(self: Member, *arguments: Any) -> None:
        places[id(self.model)] = self.place
        start(self, *arguments)

    def stepped(self: Stack, *arguments: Any) -> dict[str, Tensor]:
        terms = step(self, *arguments)
        for model, loss in zip(self.models, total(terms).tolist(), strict=True):
            losses.setdefault(places[id(model)], []).append(loss)
        return terms

    monkeypatch.setattr(Member, "start", started)
    monkeypatch.setattr(Stack, "_step", stepped)
    return losses


@pytest.fixture
def history() -> Callable[[Path], list[dict[str, float]]]:
    """`history(folder)`: the rows of history.csv, without what the clock said."""

    def read(folder: Path) -> list[dict[str, float]]:
        with (folder / HISTORY).open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in rows]

    return read


@pytest.fixture
def metrics() -> Callable[[Path], dict[str, Any]]:
    """`metrics(folder)`: what metrics.json holds."""

    def read(folder: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / METRICS).read_text())
        return found

    return read


@pytest.fixture
def weights() -> Callable[..., dict[str, Tensor]]:
    """`weights(folder)`: the network's parameters in a run's last checkpoint."""

    def read(folder: Path, name: str = LAST) -> dict[str, Tensor]:
        state: dict[str, Tensor] = load_checkpoint(folder / name)["state_dict"]
        return state

    return read


@pytest.fixture
def sweep(train_py: Callable[..., Any]) -> Callable[..., Any]:
    """`sweep(*arguments)`: a small one by the name of s, in this process."""
    quick = ("trainer=debug", "logger=minimal", "data.train_fraction=0.1")

    def run(*arguments: str) -> Any:
        return train_py("-m", "sweep=s", *quick, "hydra.launcher.workers=1", *arguments)

    return run


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """`folders()`: the run folders of the sweep s, by what tells them apart."""

    def found() -> dict[str, Path]:
        sweep = tmp_path / "outputs" / "sweeps" / "s"
        index = json.loads((sweep / "sweep.json").read_text())
        kept = ("trainer", "logger", "data", "sweep")
        return {
            ",".join(o for o in job["overrides"] if not o.startswith(kept)): sweep / job["folder"]
            for job in index["jobs"].values()
        }

    return found
