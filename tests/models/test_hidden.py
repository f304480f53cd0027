"""Hidden layers: widths that match parameter counts, normalisation, dropout."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from activae.activations import GLU, CReLU, Maxout, SwiGLU
from activae.errors import ConfigError
from activae.models import (
    Autoencoder,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    ResidualMLPDecoder,
    ResidualMLPEncoder,
)

ActivationFactory = Callable[[], nn.Module]
Half = Callable[..., nn.Module]

DIGIT, DIGITS = (784,), (1, 28, 28)
HALVES: dict[str, Half] = {
    "the article's encoder": partial(MLPEncoder, DIGIT, 32, hidden=[64, 32]),
    "the article's decoder": partial(MLPDecoder, 32, DIGIT, hidden=[32, 64]),
    "deep_mlp encoder": partial(MLPEncoder, DIGIT, 30, hidden=[1000, 500, 250]),
    "deep_mlp decoder": partial(MLPDecoder, 30, DIGIT, hidden=[250, 500, 1000]),
    "conv encoder": partial(ConvEncoder, DIGITS, 32, channels=[16, 32]),
    "conv decoder": partial(ConvDecoder, 32, DIGITS, channels=[32, 16]),
    "residual encoder": partial(ResidualMLPEncoder, DIGIT, 32, width=[96, 64], depth=2),
    "residual decoder": partial(ResidualMLPDecoder, 32, DIGIT, width=64, depth=2),
}
WIDE: list[ActivationFactory] = [GLU, Maxout, partial(Maxout, 4), CReLU]
SHAPE = (1, 8, 8)
NETWORKS: dict[str, Callable[..., Autoencoder]] = {
    "mlp": lambda **kinds: Autoencoder(
        MLPEncoder(SHAPE, 5, hidden=[12, 10], **kinds),
        MLPDecoder(5, SHAPE, hidden=[10, 12], **kinds),
        shape=SHAPE,
    ),
    "conv": lambda **kinds: Autoencoder(
        ConvEncoder(SHAPE, 5, channels=[4, 6], **kinds),
        ConvDecoder(5, SHAPE, channels=[6, 4], **kinds),
        shape=SHAPE,
    ),
    "residual_mlp": lambda **kinds: Autoencoder(
        ResidualMLPEncoder(SHAPE, 5, width=[12, 10], depth=1, **kinds),
        ResidualMLPDecoder(5, SHAPE, width=[10, 12], depth=1, **kinds),
        shape=SHAPE,
    ),
}

each_half = pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
each_wide = pytest.mark.parametrize("activation", WIDE, ids=lambda factory: str(factory()))
each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@each_half
@each_wide
def test_parameters_are_those_of_an_elementwise_activation_within_two_percent(
    half: Half, activation: ActivationFactory
) -> None:
    plain, wide = count(half(activation=nn.ReLU)), count(half(activation=activation))

    assert wide == pytest.approx(plain, rel=0.02)


@each_wide
def test_in_the_deep_network_they_match_within_a_tenth_of_a_percent(
    activation: ActivationFactory,
) -> None:
    for half in (HALVES["deep_mlp encoder"], HALVES["deep_mlp decoder"]):
        wide = count(half(activation=activation))
        assert wide == pytest.approx(count(half(activation=nn.ReLU)), rel=1e-3)


@each_half
def test_without_matching_the_widths_are_as_given(half: Half) -> None:
    plain = count(half(activation=nn.ReLU))

    assert count(half(activation=GLU, match_parameters=False)) > 1.05 * plain
    assert count(half(activation=nn.Tanh, match_parameters=False)) == plain


def test_unmatched_widths_are_units_behind_the_activation() -> None:
    encoder = MLPEncoder((20,), 6, hidden=[8], activation=GLU, match_parameters=False)
    doubled = MLPEncoder((20,), 6, hidden=[8], activation=CReLU, match_parameters=False)
    images = ConvEncoder(SHAPE, 6, channels=[4, 6], activation=GLU, match_parameters=False)

    assert [m.weight.shape for m in encoder if isinstance(m, nn.Linear)] == [(16, 20), (6, 8)]
    assert [m.weight.shape for m in doubled if isinstance(m, nn.Linear)] == [(8, 20), (6, 16)]
    assert [m.weight.shape[:2] for m in images if isinstance(m, nn.Conv2d)] == [(8, 1), (12, 4)]


def test_normalisation_counts_on_both_sides() -> None:
    half = partial(HALVES["the article's encoder"], normalisation="layer")

    assert count(half(activation=GLU)) == pytest.approx(count(half(activation=nn.ReLU)), rel=0.02)


def test_the_log_tells_both_numbers(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        encoder = HALVES["the article's encoder"](activation=GLU)

    assert caplog.messages == [
        "encoder  widths [33, 16] for [64, 32]: 53,442 parameters, to match the 53,376 of an "
        "elementwise activation"
    ]
    assert count(encoder) == 53_442


def test_finding_the_widths_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(0)
    matched = MLPEncoder((20,), 6, hidden=[8], activation=GLU)
    after = torch.get_rng_state()
    units = matched.code.in_features

    torch.manual_seed(0)
    MLPEncoder((20,), 6, hidden=[units], activation=GLU, match_parameters=False)

    assert torch.equal(torch.get_rng_state(), after)


@each_network
@pytest.mark.parametrize("activation", [*WIDE, SwiGLU], ids=lambda factory: str(factory()))
@pytest.mark.parametrize("normalisation", [None, "batch", "layer", "group"])
def test_every_combination_learns(
    network: Callable[..., Autoencoder], activation: ActivationFactory, normalisation: str | None
) -> None:
    net = network(activation=activation, normalisation=normalisation, dropout=0.1)
    x = torch.rand(6, *SHAPE)

    (net(x) - x).square().mean().backward()

    assert net(x).shape == x.shape
    gradients = [p.grad for p in net.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def kinds_of(module: nn.Module) -> list[type[nn.Module]]:
    return [type(each) for each in module.modules() if not list(each.children())]


def test_normalisation_stands_before_and_dropout_behind_each_activation() -> None:
    encoder = MLPEncoder(
        (20,), 6, hidden=[8, 7], activation=nn.Tanh, normalisation="batch", dropout=0.3
    )
    decoder = ConvDecoder(
        6, SHAPE, channels=[6, 4], activation=nn.Tanh, normalisation="batch", dropout=0.3
    )

    following = [nn.BatchNorm1d, nn.Tanh, nn.Dropout]
    assert kinds_of(encoder) == [nn.Flatten, *2 * [nn.Linear, *following], nn.Linear]
    following[0] = nn.BatchNorm2d
    assert kinds_of(decoder) == [
        *(nn.Linear, nn.Unflatten, *following),
        *(nn.ConvTranspose2d, *following, nn.ConvTranspose2d),
    ]
    assert [m.p for m in encoder.modules() if isinstance(m, nn.Dropout)] == [0.3, 0.3]


@each_network
def test_neither_is_there_unless_asked_for(network: Callable[..., Autoencoder]) -> None:
    net = network(activation=nn.Tanh)

    found = {type(module) for module in net.modules()}
    assert not found & {nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.Dropout}


@each_network
@pytest.mark.parametrize("normalisation", ["batch", "layer", "group"])
def test_activations_and_weights_are_found_as_without_them(
    network: Callable[..., Autoencoder], normalisation: str
) -> None:
    plain = network(activation=nn.Tanh)
    net = network(activation=nn.Tanh, normalisation=normalisation, dropout=0.3)

    assert list(net.activations()) == list(plain.activations())
    assert [name for name, _ in net.weights()] == [name for name, _ in plain.weights()]


@each_network
def test_evaluation_is_without_dropout_and_by_running_statistics(
    network: Callable[..., Autoencoder],
) -> None:
    net = network(activation=nn.Tanh, normalisation="batch", dropout=0.5)
    x = torch.rand(6, *SHAPE)
    net(x)
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}

    net.eval()

    torch.testing.assert_close(net(x)[:1], net(x[:1]))
    assert all(buffer.equal(before[name]) for name, buffer in net.named_buffers())


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (16, 1), (64, 4), (66, 3), (67, 1)])
def test_groups_are_of_sixteen_channels_or_more(channels: int, groups: int) -> None:
    encoder = MLPEncoder((20,), 6, hidden=[channels], activation=nn.Tanh, normalisation="group")

    assert [m.num_groups for m in encoder.modules() if isinstance(m, nn.GroupNorm)] == [groups]


@each_network
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"normalisation": "btach"}, "encoder.normalisation=btach: .*batch, layer, group"),
        ({"dropout": 1.0}, "encoder.dropout=1.0: must be at least 0 and less than 1"),
        ({"dropout": -0.1}, "encoder.dropout=-0.1"),
        ({"dropout": float("nan")}, "encoder.dropout=nan"),
    ],
)
def test_what_is_no_option_is_refused(
    network: Callable[..., Autoencoder], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        network(activation=nn.Tanh, **wrong)
