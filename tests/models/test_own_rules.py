"""Activations that bring their own initialisation, which init=fitted honours."""

from __future__ import annotations

from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from activae.activations import Siren, gain
from activae.models import (
    Autoencoder,
    MLPDecoder,
    MLPEncoder,
    ResidualMLPDecoder,
    ResidualMLPEncoder,
)
from activae.models.initialisation import fitted

W0 = 30.0


def mlp(activation: type[nn.Module], code: nn.Module | None = None) -> Autoencoder:
    return Autoencoder(
        MLPEncoder((200,), 100, hidden=[300, 250], activation=activation),
        MLPDecoder(100, (200,), hidden=[250], activation=activation),
        shape=(200,),
        code_activation=code,
    )


def initial(net: Autoencoder, seed: int = 0) -> dict[str, Tensor]:
    fitted(net, seed=seed)
    return {name.removesuffix(".weight"): weight.detach() for name, weight in net.weights()}


def assert_uniform(weight: Tensor, bound: float) -> None:
    assert weight.abs().max().item() <= bound
    assert weight.abs().max().item() > 0.99 * bound
    assert weight.std().item() == pytest.approx(bound / sqrt(3), rel=0.02)


def test_sirens_layers_are_uniform_as_in_the_paper() -> None:
    weights = initial(mlp(Siren))

    assert_uniform(weights["encoder.layer1"], 1 / 200)
    assert_uniform(weights["encoder.layer2"], sqrt(6 / 300) / W0)
    assert_uniform(weights["decoder.layer1"], 1 / 100)


def test_layers_without_an_activation_behind_them_are_fitted_as_ever() -> None:
    weights = initial(mlp(Siren))

    for name, fan_in in (("encoder.code", 250), ("decoder.output", 250)):
        expected = gain(Siren()) / sqrt(fan_in)
        assert weights[name].std().item() == pytest.approx(expected, rel=0.02)


def test_a_siren_code_has_its_rule_too() -> None:
    weights = initial(mlp(Siren, code=Siren()))

    assert_uniform(weights["encoder.code"], sqrt(6 / 250) / W0)


def test_noise_is_paired_with_that_of_other_activations() -> None:
    siren, tanh = initial(mlp(Siren)), initial(mlp(nn.Tanh))

    for name in siren:
        ranks = [weights[name].flatten().argsort().argsort().double() for weights in (siren, tanh)]
        correlation = torch.corrcoef(torch.stack(ranks))[0, 1]
        assert correlation.item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("width", [300, [300, 250]])
def test_what_enters_the_sines_of_a_residual_network_has_an_ordinary_scale(
    width: int | list[int],
) -> None:
    net = Autoencoder(
        ResidualMLPEncoder((200,), 100, width=width, depth=3, activation=Siren),
        ResidualMLPDecoder(100, (200,), width=width, depth=3, activation=Siren),
        shape=(200,),
    )
    fitted(net, seed=0)
    entering: dict[str, float] = {}
    for name, activation in net.activations().items():
        activation.register_forward_pre_hook(
            lambda _, x, name=name: entering.update({name: (W0 * x[0]).std().item()})
        )

    net(torch.rand(100, 200, generator=torch.Generator().manual_seed(0)) * 2 - 1)

    assert all(0.5 < deviation < 3 for deviation in entering.values()), entering
