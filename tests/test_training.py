"""One run from config to scores: what it repeats, what it records, and what it leaves as it was."""

from __future__ import annotations

import csv
import json
import logging
import os
import random
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.assembly import build_data, build_model
from activae.config import settle
from activae.data.module import AutoencoderDataModule
from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.objectives import Objective, mse
from activae.optimizers import make_optimizer
from activae.process import choose_threads
from activae.run_folder import BEST, HISTORY, LAST, METRICS, load_checkpoint
from activae.schedules import cosine
from activae.scoring import reconstruction_scores
from activae.steps import EagerStep, total
from activae.training import train

Compose = Callable[..., DictConfig]

# 126 training samples: 4 steps an epoch, the last one of 30 samples.
SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=3",
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
        ("encoder=deep_mlp", "optimizer=rmsprop", "init=torch"),
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
    folder = run("optimizer.lr=0.05", "trainer.max_epochs=12")
    rows = history(folder)
    best = min(rows, key=lambda row: row["SE/val"])
    assert best is not rows[-1], "the last epoch should not be the best here"

    saved = load_checkpoint(folder / BEST)

    assert saved["epoch"] == metrics(folder)["best_epoch"] == best["epoch"]
    assert saved["global_step"] == metrics(folder)["best_step"] == best["step"]
    assert saved["SE/val"] == best["SE/val"]
    assert load_checkpoint(folder / LAST)["global_step"] == rows[-1]["step"]


def test_scores_are_those_of_the_best_checkpoint(
    run: Callable[..., Path], compose: Compose
) -> None:
    folder = run("optimizer.lr=0.05", "trainer.max_epochs=8")
    model, data = prepared(compose)
    model.load_state_dict(weights(folder, BEST))
    model.eval()
    found = metrics(folder)

    for stage, x in data.samples.items():
        with torch.no_grad():
            expected = reconstruction_scores(
                x,
                model(x),
                train_mean=data.samples["train"].mean(0),
                value_span=1.0,
                is_image=True,
            )
        assert found[stage] == pytest.approx(expected, rel=1e-5)
    assert found["val"]["SE"] == pytest.approx(load_checkpoint(folder / BEST)["SE/val"], rel=1e-5)
    assert found["ratio_to_pca"] == found["test"]["SE"] / found["pca"]["test"]["SE"]


def test_pictures_are_scored_on_their_raw_range_whatever_the_normalisation(
    run: Callable[..., Path],
) -> None:
    found = metrics(run("data.normalisation=standardise"))

    # The errors on the normalised scale, PCA's and the network's, are of one kind.
    assert found["val"]["SE"] > 10
    assert found["pca"]["val"]["SE"] > 1
    # In standard deviations the span would be 4 times as large and the PSNR 12 dB higher.
    assert 5 < found["val"]["PSNR"] < 20
    assert found["val"]["BCE"] is not None


def test_vectors_have_no_picture_scores(run: Callable[..., Path]) -> None:
    found = metrics(run("data=random", "data.source.samples=100", "data.source.features=20"))

    assert found["test"]["SSIM"] is None
    assert found["test"]["SE"] > 0


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


def small_network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        MLPEncoder((12,), 3, hidden=[8], activation=nn.Tanh),
        MLPDecoder(3, (12,), hidden=[8], activation=nn.Tanh),
        shape=(12,),
    )


def eager_step(net: Autoencoder, lr: float, clip: float | None = None) -> EagerStep:
    def sgd(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=lr)

    optimizer = make_optimizer(sgd, net)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return EagerStep(net, Objective(mse, l1=0.0, l2=0.0), optimizer, clip)


def test_a_second_step_under_autocast_uses_the_weights_of_the_first() -> None:
    net, x = small_network(), torch.rand(16, 12)
    step = eager_step(net, lr=1.0)

    with torch.autocast("cpu", torch.bfloat16):
        first = step(x, 1.0)["reconstruction"]
        second = step(x, 0.0)["reconstruction"]
    with torch.autocast("cpu", torch.bfloat16):
        expected = mse(net, x)

    assert second < 0.9 * first
    torch.testing.assert_close(second, expected)


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_clipping_bounds_the_norm_of_the_gradient(factor: float) -> None:
    net, x = small_network(), 10 * torch.rand(16, 12)
    before = [p.detach().clone() for p in net.parameters()]

    eager_step(net, lr=2.0, clip=0.01)(x, factor)

    moved = [(p - old).flatten() for p, old in zip(net.parameters(), before, strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(2.0 * factor * 0.01, rel=1e-3)


def test_gradients_below_the_bound_stay_as_they_are() -> None:
    nets = [small_network(), small_network()]
    x = torch.rand(16, 12)

    eager_step(nets[0], lr=0.1, clip=1e6)(x, 1.0)
    eager_step(nets[1], lr=0.1)(x, 1.0)

    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))


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


def state_of_the_process() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        "gradients": torch.is_grad_enabled(),
        "torch's generator": torch.get_rng_state().tolist(),
        "numpy's generator": np.random.get_state()[1].tolist(),  # type: ignore[union-attr]
        "python's generator": random.getstate(),
        "filters": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "log levels": {
            name: logging.getLogger(name).level
            for name in ("", "activae", "pytorch_lightning", "lightning_fabric")
        },
    }


@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer.precision=64-true", "trainer.threads=2", "activation=rrelu"),
        ("trainer=debug", "trainer.precision=bf16-mixed", "logger=tensorboard"),
        ("trainer.threads=2", "optimizer=sgd", "optimizer.lr=1e30"),
    ],
    ids=["float64", "debug", "diverged"],
)
def test_the_process_is_left_as_it_was(
    overrides: tuple[str, ...], run: Callable[..., Path]
) -> None:
    run("trainer.max_steps=1", "logger=tensorboard")  # imports set things up once
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        before = state_of_the_process()
        if "optimizer.lr=1e30" in overrides:
            with pytest.raises(ValueError, match="diverged"):
                run(*overrides)
        else:
            run(*overrides)
        after = state_of_the_process()
    finally:
        torch.set_num_threads(threads)

    for part, value in before.items():
        assert after[part] == value, part


def test_small_networks_run_on_one_thread() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wide = {"hidden": [2000, 2000], "activation": nn.ReLU}
    large = Autoencoder(MLPEncoder((784,), 8, **wide), MLPDecoder(8, (784,), **wide), shape=(784,))

    assert choose_threads(small_network(), 32) == 1
    assert choose_threads(large, 256) == cores


@pytest.mark.mnist
def test_a_linear_autoencoder_reaches_pca_on_mnist(
    compose: Compose, tmp_path: Path
) -> None:
    images = Path(os.environ.get("ACTIVAE_DATA", "data"), "MNIST/raw/train-images-idx3-ubyte")
    if not images.is_file():
        pytest.skip(f"needs {images}")

    found = train(
        compose(
            "data=mnist",
            "encoding=dim30",
            "activation=identity",
            "encoder.hidden=[]",
            "decoder.hidden=[]",
            "scheduler=onecycle",
            "optimizer.lr=1e-2",
            "trainer=cpu",
            "trainer.max_epochs=5",
            "trainer.threads=1",
            "logger=minimal",
            "logger.progress_bar=false",
        ),
        tmp_path,
    )

    assert found["pca"]["test"]["SE"] == pytest.approx(13.87, abs=0.01)
    assert 0.999 < found["ratio_to_pca"] < 1.03
