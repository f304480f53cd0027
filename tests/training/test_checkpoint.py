"""The checkpoints of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.config.settling import container, settle
from activae.results.run import train
from activae.training import checkpoint
from activae.training.assembly import build_data, build_model
from activae.training.checkpoint import BEST, LAST

Compose = Callable[..., DictConfig]

SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=5",
)


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in (*leaves(key), *leaves(value))]
    if isinstance(tree, (list, tuple)):
        return [leaf for value in tree for leaf in leaves(value)]
    return [tree]


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("activation=prelu", "optimizer=nadam", "scheduler=onecycle"),
        ("trainer.early_stopping_patience=2", "optimizer=momentum", "trainer.precision=64-true"),
    ],
    ids=" ".join,
)
def test_they_hold_tensors_and_primitives_alone(
    overrides: tuple[str, ...], compose: Compose, tmp_path: Path
) -> None:
    train(compose(*SMALL, *overrides), tmp_path)

    for name in (BEST, LAST):
        content = torch.load(tmp_path / name, weights_only=True)
        kinds = {type(leaf) for leaf in leaves(content)}
        assert kinds <= {torch.Tensor, int, float, bool, str, type(None)}


def test_they_hold_the_config_and_the_normalisation(compose: Compose, tmp_path: Path) -> None:
    cfg = settle(compose(*SMALL, "data.normalisation=standardise"))
    train(cfg, tmp_path)
    data = build_data(cfg)

    for name in (BEST, LAST):
        content = torch.load(tmp_path / name, weights_only=True)
        assert content["hyper_parameters"] == container(cfg)
        for part in ("offset", "scale", "target_range"):
            kept = content["state_dict"][f"normalisation.{part}"]
            assert kept.equal(getattr(data.normalisation, part))


def test_a_new_model_takes_the_weights_up(compose: Compose, tmp_path: Path) -> None:
    cfg = settle(compose(*SMALL))
    metrics = train(cfg, tmp_path)
    data = build_data(cfg)
    model = build_model(cfg, data)

    model.load_state_dict(torch.load(tmp_path / BEST, weights_only=True)["state_dict"])

    x = data.samples["test"]
    with torch.no_grad():
        error = (model(x) - x).square().flatten(1).sum(1).mean().item()
    assert error == pytest.approx(metrics["test"]["SE"], rel=1e-5)


@pytest.mark.parametrize(("seconds_between_writes", "writes"), [(-1.0, 6), (1000.0, 1)])
def test_files_are_written_now_and_then_and_at_the_end(
    seconds_between_writes: float,
    writes: int,
    compose: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_WRITES", seconds_between_writes)
    written: list[str] = []
    replace = os.replace

    def watched(partial: Path, file: Path) -> None:
        written.append(file.name)
        replace(partial, file)

    monkeypatch.setattr(os, "replace", watched)
    train(compose(*SMALL), tmp_path)

    assert written.count("last.ckpt") == writes
    assert list((tmp_path / "checkpoints").glob("*.partial")) == []


def test_the_best_is_written_only_when_it_changed(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_WRITES", -1.0)
    written: list[str] = []
    replace = os.replace

    def watched(partial: Path, file: Path) -> None:
        written.append(file.name)
        replace(partial, file)

    monkeypatch.setattr(os, "replace", watched)
    # A warm-up that never ends to speak of, then a rate at which nothing is learnt.
    train(compose(*SMALL, "optimizer=sgd", "optimizer.lr=1e-30"), tmp_path)

    assert written.count("best.ckpt") == 1
    assert written.count("last.ckpt") == 6
    assert torch.load(tmp_path / BEST, weights_only=True)["epoch"] == 0
