"""One run: what is repeatable, what is recorded, and when it ends."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from activae.config.settling import settle
from activae.data.module import AutoencoderDataModule
from activae.objectives.declared import total
from activae.results.run import train
from activae.results.run_folder import HISTORY, METRICS
from activae.training.assembly import build_data, build_model
from activae.training.checkpoint import BEST, LAST, load_checkpoint
from activae.training.eager_step import EagerStep
from activae.training.schedules import cosine

Compose = Callable[..., DictConfig]

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


@pytest.fixture
def run(compose: Compose, tmp_path: Path) -> Callable[..., Path]:
    """Trains SMALL with overrides and returns the run's folder."""
    count = 0

    def train_once(*overrides: str) -> Path:
        nonlocal count
        count += 1
        folder = tmp_path / f"run{count}"
        train(compose(*SMALL, *overrides), folder)
        return folder

    return train_once


def prepared(compose: Compose, *overrides: str) -> tuple[Any, AutoencoderDataModule]:
    """The model and the data as a run of SMALL starts with them."""
    cfg = settle(compose(*SMALL, *overrides))
    data = build_data(cfg)
    return build_model(cfg, data), data


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / HISTORY).open(newline="") as handle:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(handle)]


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / METRICS).read_text())
    return found


def weights(folder: Path, name: str = LAST) -> dict[str, Tensor]:
    state: dict[str, Tensor] = load_checkpoint(folder / name)["state_dict"]
    return state


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("activation=rrelu", "optimizer=adamw", "scheduler=onecycle", "seed=5"),
        ("encoder=conv", "decoder=conv", "objective=bce", "trainer.gradient_clip_val=0.1"),
        ("encoder=deep_mlp", "optimizer=rmsprop", "init=torch", "trainer.max_epochs=1"),
    ],
    ids=" ".join,
)
def test_two_runs_of_one_seed_are_identical(
    overrides: tuple[str, ...], run: Callable[..., Path]
) -> None:
    first = run(*overrides)
    torch.rand(3)  # whatever was drawn in between
    second = run(*overrides)

    for name in (BEST, LAST):
        for key, tensor in weights(first, name).items():
            assert tensor.equal(weights(second, name)[key]), key
    rows = [[row | {"seconds": 0} for row in history(folder)] for folder in (first, second)]
    assert rows[0] == rows[1]


def test_seeds_give_different_runs(run: Callable[..., Path]) -> None:
    losses = [history(run(f"seed={seed}"))[-1]["SE/val"] for seed in (0, 1, 2)]

    assert len(set(losses)) == 3


@pytest.mark.parametrize(
    "overrides", [("activation=tanh",), ("activation=rrelu", "encoder=conv"), ("objective=l1",)]
)
def test_every_run_of_a_seed_sees_the_same_batches(
    overrides: tuple[str, ...], run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    take_step = EagerStep.__call__

    def watched(self: EagerStep, batch: Tensor, factor: float) -> dict[str, Tensor]:
        seen.append(batch.clone())
        return take_step(self, batch, factor)

    monkeypatch.setattr(EagerStep, "__call__", watched)
    run("activation=relu")
    expected = list(seen)
    seen.clear()
    run(*overrides)

    assert [len(batch) for batch in expected] == [32, 32, 32, 30] * 3
    assert all(map(torch.equal, seen, expected))
    assert not seen[0].equal(seen[4]), "epochs should differ"


def test_training_lowers_the_error(run: Callable[..., Path]) -> None:
    rows = history(run("activation=silu", "trainer.max_epochs=20", "optimizer.lr=3e-3"))

    assert rows[-1]["SE/train"] < 0.7 * rows[0]["SE/train"]
    assert rows[-1]["SE/val"] < 0.7 * rows[0]["SE/val"]


def test_history_has_a_row_an_epoch_with_every_figure(run: Callable[..., Path]) -> None:
    rows = history(run("objective.l2=1e-4"))

    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert [row["step"] for row in rows] == [4, 8, 12]
    for row in rows:
        assert row["gap/SE"] == row["SE/val"] - row["SE/train"]
        terms = row["loss_terms/reconstruction"] + row["loss_terms/l2"]
        assert row["loss/train"] == pytest.approx(terms)
    assert list(rows[0])[:4] == ["epoch", "step", "seconds", "lr"]


def test_a_short_last_batch_counts_for_what_it_is(
    run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, float]] = []
    take_step = EagerStep.__call__

    def watched(self: EagerStep, batch: Tensor, factor: float) -> dict[str, Tensor]:
        terms = take_step(self, batch, factor)
        seen.append((len(batch), total(terms).item()))
        return terms

    monkeypatch.setattr(EagerStep, "__call__", watched)

    (row,) = history(run("data.batch_size=100", "trainer.max_epochs=1", "optimizer.lr=0.05"))

    assert [size for size, _ in seen] == [100, 26]
    weighted = sum(size * loss for size, loss in seen) / 126
    assert abs(seen[0][1] - seen[1][1]) > 0.01, "else the weighting would not show"
    assert row["loss/train"] == pytest.approx(weighted, rel=1e-6)


def test_history_scores_the_whole_of_val(run: Callable[..., Path], compose: Compose) -> None:
    folder = run("objective.l2=1e-3")
    model, data = prepared(compose, "objective.l2=1e-3")
    model.load_state_dict(weights(folder))
    model.eval()
    row = history(folder)[-1]

    with torch.no_grad():
        val, train_part = data.samples["val"], data.samples["train"][: len(data.samples["val"])]
        for stage, x in (("val", val), ("train", train_part)):
            error = (model(x) - x).square().sum(dim=(1, 2, 3)).mean().item()
            assert row[f"SE/{stage}"] == pytest.approx(error, rel=1e-5)
        assert row["loss/val"] == pytest.approx(total(model.objective(model.net, val)).item())


def test_learning_rate_follows_the_schedule(run: Callable[..., Path]) -> None:
    rows = history(run("scheduler=cosine", "scheduler.warmup=0.3", "optimizer.lr=0.01"))

    expected = [0.01 * cosine(step - 1, 12, warmup=0.3, final=0.0) for step in (4, 8, 12)]
    assert [row["lr"] for row in rows] == pytest.approx(expected)


def test_steps_can_be_limited_within_an_epoch(run: Callable[..., Path]) -> None:
    folder = run("trainer.max_steps=6", "scheduler=cosine")

    assert metrics(folder)["steps"] == 6
    assert [row["step"] for row in history(folder)] == [4, 6]
    assert history(folder)[-1]["lr"] == pytest.approx(0, abs=1e-12)


def test_best_checkpoint_is_the_epoch_with_the_lowest_validation_error(
    run: Callable[..., Path],
) -> None:
    linear = "activation@output.activation=identity"
    folder = run("optimizer.lr=0.05", "scheduler=constant", "trainer.max_epochs=12", linear)
    rows = history(folder)
    best = min(rows, key=lambda row: row["SE/val"])
    assert best is not rows[-1], "the last epoch should not be the best here"

    saved = load_checkpoint(folder / BEST)

    assert saved["epoch"] == metrics(folder)["best_epoch"] == best["epoch"]
    assert saved["global_step"] == metrics(folder)["best_step"] == best["step"]
    assert saved["SE/val"] == best["SE/val"]
    assert load_checkpoint(folder / LAST)["global_step"] == rows[-1]["step"]


def test_early_stopping_ends_a_run_that_no_longer_improves(run: Callable[..., Path]) -> None:
    patience = 2
    folder = run(
        "optimizer.lr=0.1", "trainer.max_epochs=50", f"trainer.early_stopping_patience={patience}"
    )
    errors = [row["SE/val"] for row in history(folder)]

    best = errors.index(min(errors))
    assert len(errors) == best + 1 + patience < 50
    assert metrics(folder)["best_epoch"] == best


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
@pytest.mark.parametrize("overrides", [(), ("encoder=conv", "decoder=conv", "objective=bce")])
def test_other_precisions_train(
    precision: str, overrides: tuple[str, ...], run: Callable[..., Path]
) -> None:
    folder = run(f"trainer.precision={precision}", "optimizer.lr=3e-3", *overrides)
    reference = run("optimizer.lr=3e-3", *overrides)

    errors = [row["SE/val"] for row in history(folder)]
    expected = [row["SE/val"] for row in history(reference)]
    assert errors == pytest.approx(expected, rel=0.02)
    assert errors != expected
    dtype = torch.float64 if precision == "64-true" else torch.float32
    assert weights(folder)["net.encoder.layer1.weight"].dtype == dtype
    assert metrics(folder)["val"]["SE"] == pytest.approx(min(errors), rel=0.02)


@pytest.mark.parametrize("objective", ["mse", "bce", "huber", "l1"])
@pytest.mark.parametrize("compiled", [False, True], ids=["step by step", "as one function"])
def test_mixed_precision_rounds_the_network_and_not_its_loss(
    objective: str, compiled: bool, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    model, data = prepared(compose, f"objective={objective}", f"trainer.compile={compiled}".lower())
    x = data.samples["train"][:32]
    model.get_ready(data, model.current_optimizer())
    take_step = model._make_step()

    with torch.no_grad():
        exact = total(model.objective(model.net, x))
    with torch.autocast("cpu", torch.bfloat16):
        layer = model.net.encoder(x)
        terms = take_step(x, 1.0)

    assert layer.dtype == torch.bfloat16
    assert all(term.dtype == torch.float32 for term in terms.values())
    assert total(terms) == pytest.approx(float(exact), rel=2e-3)
    assert not total(terms).equal(exact)


def test_mixed_precision_is_validated_in_full(run: Callable[..., Path]) -> None:
    """SE/val of the history is what the evaluation finds, which knows no autocast."""
    folder = run("trainer.precision=bf16-mixed")

    best = min(row["SE/val"] for row in history(folder))
    assert metrics(folder)["val"]["SE"] == pytest.approx(best, rel=1e-5)


def test_mixed_precision_is_as_accurate_as_stated(run: Callable[..., Path]) -> None:
    """configs/trainer/auto.yaml: test SE within 5 % on digits, for three seeds."""
    longer = ("data.train_fraction=1", "trainer.max_epochs=8", "scheduler=cosine")
    for seed in range(3):
        single, mixed = (
            metrics(run(*longer, f"seed={seed}", f"trainer.precision={precision}"))["test"]["SE"]
            for precision in ("32-true", "bf16-mixed")
        )
        assert mixed == pytest.approx(single, rel=0.05)


def test_clipping_reaches_training(run: Callable[..., Path], compose: Compose) -> None:
    one_step = ("optimizer=sgd", "trainer.max_steps=1", "optimizer.lr=1")
    model, _ = prepared(compose, *one_step)

    moved = {}
    for clip in ("null", "0.01"):
        after = weights(run(*one_step, f"trainer.gradient_clip_val={clip}"))
        changes = [(after[name] - p).flatten() for name, p in model.named_parameters()]
        moved[clip] = torch.cat(changes).norm().item()

    assert moved["0.01"] == pytest.approx(0.01, rel=1e-3)
    assert moved["null"] > 0.02
