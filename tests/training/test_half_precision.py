"""trainer.precision=16-mixed: layers in float16, of a loss that is scaled.

It needs an NVIDIA GPU. Here torch's CPU stands in for one, with Lightning's own plugin and scaler.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn
from torch.amp import GradScaler

from activae.config import settling
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives import Objective, mse
from activae.results.run import train
from activae.training import fitting
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.eager_step import EagerStep
from activae.training.module import with_initial_lr
from activae.training.optimizers import Clipping

Compose = Callable[..., DictConfig]
ADAM = partial(torch.optim.Adam, lr=0.01)
SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)


def network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(nn.Sequential(nn.Linear(6, 3), nn.Tanh()), nn.Linear(3, 6), shape=(6,))


def stepping(
    net: Autoencoder, make: Callable[..., torch.optim.Optimizer], scaler: GradScaler | None
) -> EagerStep:
    optimizer = with_initial_lr(make(net.parameters()))
    return EagerStep(net, Objective(mse), optimizer, Clipping(0.1), scaler=scaler)


def batches(number: int = 4) -> Tensor:
    return torch.randn(number, 5, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("make", [ADAM, SGD])
def test_a_scaled_loss_gives_the_steps_of_the_loss(make: Any) -> None:
    plain, scaled = network(), network()
    steps = stepping(plain, make, None), stepping(scaled, make, GradScaler("cpu", 2.0**10))

    for x in batches():
        terms = [step(x, 1.0) for step in steps]
        assert terms[0] == terms[1]

    for ours, theirs in zip(scaled.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)  # to scale by a power of two rounds nothing


def test_a_step_whose_gradients_overflow_changes_no_weight_and_lowers_the_scale() -> None:
    net = network()
    before = deepcopy(net.state_dict())
    scaler = GradScaler("cpu", 2.0**127)
    step = stepping(net, ADAM, scaler)

    step(batches()[0] * 1e3, 1.0)

    assert all(torch.equal(net.state_dict()[name], before[name]) for name in before)
    assert scaler.get_scale() == 2.0**126


def test_an_optimizer_that_searches_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"16-mixed: LBFGS evaluates .* use bf16-mixed"):
        stepping(network(), torch.optim.LBFGS, GradScaler("cpu"))


def test_it_is_refused_without_a_gpu_and_with_what_does_not_go_with_it(
    complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "needs an NVIDIA GPU" in complaint("trainer.precision=16-mixed")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    several = ("trainer=multi_gpu", "trainer.compile=false", "trainer.accelerator=cuda")
    assert "trains on one device" in complaint("trainer.precision=16", *several)
    compiled = ("trainer.accelerator=cuda", "trainer.compile=true")
    assert "leave out trainer.compile=true" in complaint("trainer.precision=16-mixed", *compiled)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Float16 on the CPU, where neither the config nor Lightning would have it."""

    def trainer(*, precision: str, **arguments: Any) -> pl.Trainer:
        assert precision == "16-mixed"
        plugin = MixedPrecision("16-mixed", "cpu", GradScaler("cpu"))
        return pl.Trainer(plugins=[plugin], **arguments)

    monkeypatch.setattr(settling, "half_precision_faults", lambda _: iter(()))
    monkeypatch.setattr(fitting, "pl", _WithTrainer(trainer))


class _WithTrainer:
    """pytorch_lightning with another Trainer."""

    def __init__(self, trainer: Callable[..., pl.Trainer]) -> None:
        self.Trainer = trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(pl, name)


QUICK = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "data.train_fraction=0.3")
QUICK += ("trainer.max_epochs=4", "scheduler=cosine")


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("more", [(), ("experiment=aae", "data=digits", "trainer.max_epochs=2")])
def test_a_run_goes_on_with_its_scale_where_it_was_interrupted(
    more: tuple[str, ...], compose: Compose, interrupt: Callable[..., None], tmp_path: Path
) -> None:
    cfg = compose(*QUICK, *more, "trainer.precision=16-mixed")
    whole = train(cfg, tmp_path / "whole")

    interrupt(cfg, tmp_path / "cut", 5)
    assert load_checkpoint(tmp_path / "cut" / LAST)["scaler"]["scale"] > 1
    assert train(cfg, tmp_path / "cut")["test"] == whole["test"]

    states = [load_checkpoint(tmp_path / name / LAST) for name in ("whole", "cut")]
    assert states[0]["scaler"] == states[1]["scaler"]
    for name, value in states[0]["state_dict"].items():
        assert torch.equal(value, states[1]["state_dict"][name]), name


@pytest.mark.usefixtures("as_on_a_gpu")
def test_it_is_as_accurate_as_single_precision(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = train(compose(*QUICK, "trainer.precision=16-mixed"), tmp_path / "half")
    monkeypatch.setattr(fitting, "pl", pl)
    single = train(compose(*QUICK), tmp_path / "single")

    assert half["test"]["SE"] == pytest.approx(single["test"]["SE"], rel=0.03)
    assert half["test"]["SE"] != single["test"]["SE"]
