"""Corruptions: what they do to a sample, and that only training sees them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from activae.config.settling import settle
from activae.errors import ConfigError
from activae.objectives.batch import samples_of
from activae.objectives.corruptions import gaussian, masking, none, salt_and_pepper
from activae.results.run import train
from activae.training.assembly import build_data, build_model
from activae.training.module import AutoencoderModule

Compose = Callable[..., DictConfig]

X = torch.rand(400, 50, generator=torch.Generator().manual_seed(3)) + 1  # in [1, 2]
QUICK = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "data.train_fraction=0.1")


def corrupted(function: Callable[..., Tensor], seed: int = 0, **parameters: float) -> Tensor:
    noise = torch.Generator().manual_seed(seed)
    return function(X, noise=noise, value_range=(0.0, 5.0), **parameters)


def test_none_leaves_samples_alone() -> None:
    assert corrupted(none) is X


def test_gaussian_adds_noise_of_the_given_width() -> None:
    added = corrupted(gaussian, std=0.5) - X

    assert added.mean().item() == pytest.approx(0.0, abs=0.02)
    assert added.std().item() == pytest.approx(0.5, rel=0.02)


def test_masking_sets_the_given_share_to_zero() -> None:
    found = corrupted(masking, probability=0.3)

    assert (found == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(found[found != 0], X[found != 0])


def test_salt_and_pepper_sets_half_the_share_to_either_end_of_the_range() -> None:
    found = corrupted(salt_and_pepper, probability=0.4)

    assert (found == 0.0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (found == 5.0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    kept = (found != 0.0) & (found != 5.0)
    assert torch.equal(found[kept], X[kept])


@pytest.mark.parametrize(
    ("function", "parameters", "key"),
    [
        (gaussian, {"std": 0.0}, r"corruption\.std=0\.0"),
        (gaussian, {"std": float("inf")}, r"corruption\.std=inf"),
        (masking, {"probability": 1.0}, r"corruption\.probability=1\.0"),
        (salt_and_pepper, {"probability": -0.1}, r"corruption\.probability=-0\.1"),
    ],
)
def test_parameters_of_no_sense_are_refused(function: Any, parameters: Any, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        corrupted(function, **parameters)


def test_a_wrong_parameter_is_named_before_training(complaint: Callable[..., str]) -> None:
    assert "corruption.std=-1" in complaint("corruption=gaussian", "corruption.std=-1")
    assert "corruption.prob" in complaint("corruption=masking", "+corruption.prob=0.1")
    assert "corruption=masked" in complaint("corruption=masked")


@pytest.fixture
def model(compose: Compose) -> Callable[..., AutoencoderModule]:
    def built(*overrides: str) -> AutoencoderModule:
        cfg = settle(compose(*QUICK, *overrides))
        return build_model(cfg, build_data(cfg))

    return built


def test_noise_depends_on_seed_and_step_alone(model: Callable[..., AutoencoderModule]) -> None:
    x = torch.rand(4, 1, 8, 8)

    def seen(step: int, *overrides: str) -> Tensor:
        batch = model("corruption=gaussian", *overrides).training_batch(x, step)
        assert torch.equal(samples_of(batch), x)
        return batch["seen"]  # type: ignore[index]

    first = seen(7, "activation=tanh")
    torch.rand(3)  # drawn by somebody else
    assert torch.equal(seen(7, "activation=relu"), first)
    assert not torch.equal(seen(8), first)
    assert not torch.equal(seen(7, "seed=1"), first)


def test_samples_are_scored_as_they_are(model: Callable[..., AutoencoderModule]) -> None:
    x = torch.rand(4, 1, 8, 8)

    noisy, plain = model("corruption=masking"), model()

    assert noisy.terms(x)["reconstruction"].equal(plain.terms(x)["reconstruction"])


def test_a_run_trains_on_corrupted_samples(compose: Compose, tmp_path: Path) -> None:
    scores = {}
    for name in ("none", "masking"):
        overrides = (f"corruption={name}", "trainer.max_epochs=30", "optimizer.lr=0.01")
        scores[name] = train(compose(*QUICK, *overrides), tmp_path / name)["train"]["SE"]

    assert scores["none"] < 0.9 * scores["masking"]


@pytest.mark.filterwarnings("default")  # the compiler's own change from release to release
def test_a_compiled_run_meets_the_same_noise(compose: Compose, tmp_path: Path) -> None:
    shared = ("corruption=gaussian", "regulariser=[code_l1,contractive_hutchinson]")
    size = ("encoder.hidden=[16]", "decoder.hidden=[16]", "trainer.max_epochs=3")
    scores = [
        train(
            compose(*QUICK, *shared, *size, f"trainer.compile={compiled}"),
            tmp_path / str(compiled),
        )["test"]["SE"]
        for compiled in (False, True)
    ]

    assert scores[1] == pytest.approx(scores[0], rel=1e-4)
