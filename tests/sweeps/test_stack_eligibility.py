"""Which runs can be stacked, which of them together, and how many at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from activae.sweeps.stack import members_that_fit, memory_per_member, stack_key, why_not_stackable
from activae.training.assembly import build_data, build_model
from activae.training.optimizers import make_optimizer

Settled = Callable[..., object]


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


@pytest.mark.parametrize("activation", ["relu", "prelu", "sin", "threshold", "glu", "crelu"])
@pytest.mark.parametrize("network", [(), ("encoder=conv", "decoder=conv", "objective=bce")])
def test_ordinary_runs_can_be(activation: str, network: tuple[str, ...], settled: Settled) -> None:
    cfg = settled(f"activation={activation}", *network)

    model = build_model(cfg, build_data(cfg))

    assert why_not_stackable(cfg, model) is None
    assert model.net.training


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("activation=rrelu",), "random"),
        (("encoder.dropout=0.1",), "random"),
        (("decoder.normalisation=batch",), "running_mean is a buffer"),
        (("trainer.precision=bf16-mixed",), "trainer.precision=bf16-mixed"),
        (("trainer.detect_anomaly=true",), "trainer.detect_anomaly=true"),
        (("+optimizer.maximize=true",), "maximize=True"),
    ],
)
def test_configs_that_cannot_be(overrides: tuple[str, ...], reason: str, settled: Settled) -> None:
    cfg = settled(*overrides)

    assert reason in str(why_not_stackable(cfg, build_model(cfg, build_data(cfg))))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm1d(8), "running_mean is a buffer"),
        (nn.Dropout(0.5), "random"),
        (Noisy(), "random"),
        (nn.Linear(8, 8).requires_grad_(False), "is frozen"),
    ],
    ids=["BatchNorm", "Dropout", "noise of the user's own", "frozen"],
)
def test_networks_that_cannot_be(layer: nn.Module, reason: str, settled: Settled) -> None:
    cfg = settled()
    model = build_model(cfg, build_data(cfg))
    model.net.encoder.activation1 = layer

    assert reason in str(why_not_stackable(cfg, model))


def test_batch_normalisation_without_running_statistics_can_be(settled: Settled) -> None:
    cfg = settled()
    model = build_model(cfg, build_data(cfg))
    width = model.net.encoder.layer1.out_features
    model.net.encoder.activation1 = nn.BatchNorm1d(width, track_running_stats=False)

    assert why_not_stackable(cfg, model) is None


@pytest.mark.parametrize("optimizer", [torch.optim.LBFGS, torch.optim.Rprop, torch.optim.ASGD])
def test_optimizers_that_cannot_be(optimizer: type, settled: Settled) -> None:
    cfg = settled()
    model = build_model(cfg, build_data(cfg))
    model.make_optimizer = partial(make_optimizer, partial(optimizer, lr=0.1))

    assert optimizer.__name__ in str(why_not_stackable(cfg, model))


def test_an_optimizer_of_the_users_own_cannot_be(settled: Settled) -> None:
    class Own(torch.optim.SGD):
        pass

    cfg = settled()
    model = build_model(cfg, build_data(cfg))
    model.make_optimizer = partial(make_optimizer, partial(Own, lr=0.1))

    assert "Own" in str(why_not_stackable(cfg, model))


@pytest.mark.parametrize(
    "override",
    [
        "seed=3",
        "optimizer.lr=0.1",
        "optimizer.weight_decay=0.1",
        "objective.l1=0.1",
        "data.train_fraction=0.05",
        "scheduler=cosine",
        "trainer.max_epochs=9",
        "data.normalisation=standardise",
    ],
)
def test_what_may_differ_within_a_stack(override: str, settled: Settled) -> None:
    assert stack_key(settled(override)) == stack_key(settled())


@pytest.mark.parametrize(
    "override",
    [
        "activation=tanh",
        "encoding=dim8",
        "optimizer=sgd",
        "optimizer.eps=1e-6",
        "objective=l1",
        "data.batch_size=16",
        "data=random",
        "trainer.gradient_clip_val=1",
        "trainer.precision=64-true",
    ],
)
def test_what_may_not(override: str, settled: Settled) -> None:
    assert stack_key(settled(override)) != stack_key(settled())


def test_memory_follows_parameters_optimizer_and_batch(settled: Settled) -> None:
    def needed(batch_size: int, *overrides: str) -> int:
        cfg = settled(*overrides)
        return memory_per_member(build_model(cfg, build_data(cfg)), batch_size)

    cfg = settled()
    count = sum(p.numel() for p in build_model(cfg, build_data(cfg)).net.parameters())
    assert needed(1) - needed(1, "optimizer=sgd") == 4 * count * 2 * 2
    per_sample = needed(2) - needed(1)
    layers = 64 + (64 + 2 * (64 + 32) + 32 + 32) + 2 * (32 + 64) + 2 * 64
    assert per_sample == pytest.approx(8 * layers, rel=0.5)
    assert needed(11) - needed(1) == 10 * per_sample


def test_at_least_one_is_tried(settled: Settled) -> None:
    cfg = settled()
    model = build_model(cfg, build_data(cfg))
    each = memory_per_member(model, 32)

    assert members_that_fit(0, model, 32) == 1
    assert members_that_fit(10 * each, model, 32) == 7
