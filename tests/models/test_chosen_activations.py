"""Where an activation named in the config ends up."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from activae.assembly import build_data, build_model
from activae.config import settle
from activae.errors import ConfigError
from activae.models import Autoencoder

Compose = Callable[..., DictConfig]

CONFIGS = Path(__file__).parents[2] / "configs"
ENCODERS = sorted(path.stem for path in (CONFIGS / "encoder").glob("*.yaml"))
DECODERS = sorted(path.stem for path in (CONFIGS / "decoder").glob("*.yaml"))


@pytest.fixture
def network(compose: Compose) -> Callable[..., Autoencoder]:
    def build(*overrides: str) -> Autoencoder:
        cfg = settle(compose("trainer=cpu", "data.train_fraction=0.1", *overrides))
        return build_model(cfg, build_data(cfg)).net

    return build


def kinds(net: Autoencoder, half: str) -> set[type[nn.Module]]:
    return {type(f) for name, f in net.activations().items() if name.startswith(half)}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("decoder", DECODERS)
def test_it_reaches_every_hidden_layer_of_both_halves(
    encoder: str, decoder: str, network: Callable[..., Autoencoder]
) -> None:
    net = network("activation=mish", f"encoder={encoder}", f"decoder={decoder}")

    reached = net.activations()
    assert {type(f) for f in reached.values()} == {nn.Mish}
    # All but the last weight layer of each half, which is linear, have one behind them.
    for half in ("encoder", "decoder"):
        weights = [name for name, _ in net.weights() if name.startswith(half)]
        assert len([name for name in reached if name.startswith(half)]) == len(weights) - 1 > 0


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_layer_owns_its_instance(encoder: str, network: Callable[..., Autoencoder]) -> None:
    net = network("activation=prelu", f"encoder={encoder}", f"decoder={encoder}")

    slopes = [p for f in net.activations().values() for p in f.parameters()]
    assert len(slopes) == len(net.activations())
    assert len({slope.data_ptr() for slope in slopes}) == len(slopes)


def test_parameters_given_by_override_reach_every_layer(
    network: Callable[..., Autoencoder],
) -> None:
    net = network("activation=leaky_relu", "activation.negative_slope=0.2")

    slopes = [f.negative_slope for f in net.activations().values() if isinstance(f, nn.LeakyReLU)]
    assert slopes == [0.2] * 4


def test_the_halves_can_be_set_apart(network: Callable[..., Autoencoder]) -> None:
    net = network("activation@encoder.activation=gelu", "activation@decoder.activation=tanh")

    assert kinds(net, "encoder") == {nn.GELU}
    assert kinds(net, "decoder") == {nn.Tanh}


def test_one_half_set_apart_leaves_the_other(network: Callable[..., Autoencoder]) -> None:
    net = network("activation=silu", "activation@decoder.activation=tanh")

    assert kinds(net, "encoder") == {nn.SiLU}
    assert kinds(net, "decoder") == {nn.Tanh}


def test_code_and_output_are_linear_by_default(network: Callable[..., Autoencoder]) -> None:
    net = network("activation=tanh")

    assert isinstance(net.code_activation, nn.Identity)
    assert isinstance(net.output_activation, nn.Identity)


def test_code_and_output_activation_are_groups_of_their_own(
    network: Callable[..., Autoencoder],
) -> None:
    net = network("activation@encoding.activation=softplus", "activation@output.activation=sigmoid")

    assert isinstance(net.code_activation, nn.Softplus)
    assert isinstance(net.output_activation, nn.Sigmoid)
    assert kinds(net, "encoder") == kinds(net, "decoder") == {nn.ReLU}


def test_cross_entropy_makes_the_output_a_sigmoid(network: Callable[..., Autoencoder]) -> None:
    assert isinstance(network("objective=bce").output_activation, nn.Sigmoid)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective=bce", "activation@output.activation=relu"], "objective=bce"),
        (["activation@output.activation=tanh"], r"Tanh lie in \[-1, 1\], the data in \[0, 1\]"),
        (
            ["data.normalisation=standardise", "activation@output.activation=sigmoid"],
            "data.normalisation=unit_range",
        ),
        (["encoder=conv", "encoder.channels=[4,6,8,10]"], "cannot be divided by 16"),
        (["decoder.hidden=[0]"], r"decoder.hidden=\[0\]"),
        (["activation=prelu", "activation.num_parameters=7"], "encoder"),
    ],
)
def test_what_cannot_work_is_refused_before_training(
    overrides: list[str], message: str, network: Callable[..., Autoencoder]
) -> None:
    with pytest.raises(ConfigError, match=message):
        network(*overrides)


def test_a_changed_activation_changes_nothing_but_itself_and_the_scale(
    network: Callable[..., Autoencoder],
) -> None:
    relu, tanh = network("activation=relu"), network("activation=tanh")

    for (name, weight), (other, same_noise) in zip(relu.weights(), tanh.weights(), strict=True):
        assert name == other
        ratio = weight / same_noise
        torch.testing.assert_close(ratio, ratio.flatten()[0].expand_as(ratio))
