"""Layer-sequential unit variance, and what an init that looks at data is given."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.activations import GLU, CReLU, Maxout, RReLU
from activae.config.settling import settle
from activae.errors import ConfigError
from activae.models import (
    Autoencoder,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    ResidualMLPDecoder,
    ResidualMLPEncoder,
    initialisation,
)
from activae.models.autoencoder import is_weight_layer
from activae.models.initialisation import lsuv
from activae.training.assembly import build_data, build_model

ActivationFactory = Callable[[], nn.Module]
Compose = Callable[..., DictConfig]

SHAPE = (1, 8, 8)
HALVES = {
    "mlp": (MLPEncoder, MLPDecoder, {"hidden": [24, 12]}),
    "conv": (ConvEncoder, ConvDecoder, {"channels": [8, 6]}),
    "residual_mlp": (ResidualMLPEncoder, ResidualMLPDecoder, {"width": [24, 16], "depth": 2}),
}


def network(kind: str, activation: ActivationFactory, **others: object) -> Autoencoder:
    encoder, decoder, sizes = HALVES[kind]
    given = {**sizes, "activation": activation, **others}
    return Autoencoder(encoder(SHAPE, 5, **given), decoder(5, SHAPE, **given), shape=SHAPE)


def samples(seed: int = 0) -> Tensor:
    """In [0, 1], far from centred, as pictures are."""
    return torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(seed)).square()


def variances(net: Autoencoder, x: Tensor) -> dict[str, float]:
    """The variance of all that each weight layer puts out."""
    found: dict[str, float] = {}
    for name, module in net.named_modules():
        if is_weight_layer(module):
            module.register_forward_hook(
                lambda _, __, output, name=name: found.update(
                    {name: output.var(correction=0).item()}
                )
            )
    net.eval()
    with torch.no_grad():
        net(x)
    return found


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh, RReLU, GLU, Maxout, CReLU])
def test_every_layer_puts_out_unit_variance(kind: str, activation: ActivationFactory) -> None:
    net = network(kind, activation, dropout=0.2)

    lsuv(net, seed=0, samples=samples())

    assert all(module.training for module in net.modules())
    found = variances(net, samples())
    assert len(found) == len(list(net.weights()))
    assert found == {name: pytest.approx(1, rel=1e-4) for name in found}


def test_weights_are_orthogonal_and_biases_zero() -> None:
    net = network("mlp", nn.ReLU)

    lsuv(net, seed=0, samples=samples())

    for _, weight in net.weights():
        short = weight if weight.shape[0] <= weight.shape[1] else weight.T
        gram = short @ short.T
        torch.testing.assert_close(gram / gram[0, 0], torch.eye(len(gram)), rtol=0, atol=1e-5)
    assert not any(p.any() for name, p in net.named_parameters() if name.endswith("bias"))


def test_activations_share_the_directions_of_their_weights() -> None:
    relu, tanh = network("mlp", nn.ReLU), network("mlp", nn.Tanh)
    for net in (relu, tanh):
        lsuv(net, seed=3, samples=samples())

    for (_, one), (_, other) in zip(relu.weights(), tanh.weights(), strict=True):
        ratio = (one / other).flatten()
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=1e-5)


def test_the_seed_decides_and_the_global_generator_is_left_alone() -> None:
    nets = [network("mlp", RReLU, dropout=0.3) for _ in range(3)]
    before = torch.get_rng_state()
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        lsuv(net, seed=seed, samples=samples())

    assert torch.equal(torch.get_rng_state(), before)
    first, again, other = (dict(net.weights()) for net in nets)
    assert all(first[name].equal(again[name]) for name in first)
    assert not any(first[name].equal(other[name]) for name in first)


def test_running_statistics_stay_as_they_are() -> None:
    net = network("mlp", nn.ReLU, normalisation="batch")
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}

    lsuv(net, seed=0, samples=samples())

    assert all(buffer.equal(before[name]) for name, buffer in net.named_buffers())


def test_a_layer_that_puts_out_one_number_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"init=lsuv: the outputs of encoder\.layer1 have"):
        lsuv(network("mlp", nn.ReLU), seed=0, samples=torch.zeros(8, *SHAPE))


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The samples that lsuv was called with."""
    seen: list[Tensor] = []

    def watched(net: Autoencoder, *, seed: int, samples: Tensor) -> None:
        seen.append(samples)
        lsuv(net, seed=seed, samples=samples)

    monkeypatch.setattr(initialisation, "lsuv", watched)
    return seen


def test_a_run_gives_it_training_samples_that_depend_on_the_seed_alone(
    compose: Compose, given: list[Tensor]
) -> None:
    for overrides in (["seed=1"], ["seed=1", "activation=glu", "encoder=conv"], ["seed=2"]):
        cfg = settle(compose("init=lsuv", "trainer=cpu", *overrides))
        data = build_data(cfg)
        build_model(cfg, data)

    first, again, other = given
    assert first.equal(again)
    assert not first[:50].equal(other[:50])
    known = {tuple(row) for row in data.samples["train"].flatten(1).tolist()}
    assert {tuple(row) for row in first.flatten(1).tolist()} <= known
    assert 500 < len(first) <= 1024


def test_samples_are_in_the_precision_of_the_network(compose: Compose, given: list[Tensor]) -> None:
    cfg = settle(compose("init=lsuv", "trainer=cpu"))
    data = build_data(cfg)
    data.to(torch.device("cpu"), torch.float64)  # as an earlier run of a sweep may leave them

    build_model(cfg, data)

    assert given[0].dtype == torch.float32
