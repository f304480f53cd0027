"""Where an activation named in the config ends up."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from activae.config.settling import settle
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.training.assembly import build_data, build_model

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


@pytest.mark.parametrize(
    ("overrides", "outputs"),
    [
        (["encoder.hidden=[128,64,32]"], [128, 64, 32, 30]),
        (["encoder=conv", "encoder.channels=[8,16,32]"], [8, 16, 32, 30]),
        (["encoder=residual_mlp", "encoder.width=48", "encoder.depth=1"], [48, 48, 48, 30]),
        (
            ["encoder=residual_mlp", "encoder.width=[48,24]", "encoder.depth=1"],
            [48, 48, 48, 24, 24, 24, 30],
        ),
    ],
    ids=["mlp", "conv", "residual", "residual of two widths"],
)
def test_depth_and_width_are_set_by_override(
    overrides: list[str], outputs: list[int], network: Callable[..., Autoencoder]
) -> None:
    net = network("encoding=dim30", *overrides)

    weights = [weight for name, weight in net.weights() if name.startswith("encoder")]
    assert [len(weight) for weight in weights] == outputs


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("activation", ["swiglu", "maxout", "crelu"])
def test_matching_parameters_can_be_left_off(
    encoder: str, activation: str, network: Callable[..., Autoencoder]
) -> None:
    def count(*overrides: str) -> int:
        net = network("encoding=dim32", f"encoder={encoder}", *overrides)
        return sum(p.numel() for p in net.encoder.parameters())

    plain = count()
    assert count(f"activation={activation}") == pytest.approx(plain, rel=0.02)
    unmatched = count(f"activation={activation}", "encoder.match_parameters=false")
    assert unmatched > 1.2 * plain


def test_one_half_set_apart_leaves_the_other(network: Callable[..., Autoencoder]) -> None:
    net = network("activation=silu", "activation@decoder.activation=tanh")

    assert kinds(net, "encoder") == {nn.SiLU}
    assert kinds(net, "decoder") == {nn.Tanh}


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ((), nn.Sigmoid),
        (("data.normalisation=standardise",), nn.Identity),
        (("data.normalisation=none",), nn.Identity),
        (("activation@output.activation=identity",), nn.Identity),
    ],
    ids=["unit range", "standardised", "raw", "identity chosen"],
)
def test_the_output_follows_the_range_of_the_data_and_the_code_is_linear(
    overrides: tuple[str, ...], kind: type, network: Callable[..., Autoencoder]
) -> None:
    net = network("activation=tanh", *overrides)

    assert isinstance(net.code_activation, nn.Identity)
    assert type(net.output_activation) is kind


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
        (
            ["activation@output.activation=glu"],
            r"output\.activation=GLU: makes 1 of",
        ),
        (["activation@encoding.activation=crelu"], r"encoding\.activation=CReLU: makes 2 of every"),
        (["encoder.normalisation=bacth"], r"encoder\.normalisation=bacth: must be null or one of"),
        (["decoder.dropout=1"], r"decoder\.dropout=1: must be at least 0"),
        (
            ["decoder.normalisation=batch", "data.batch_size=25"],
            "data.batch_size=25: leaves a",
        ),
        (["encoder.normalisation=batch", "data.batch_size=1"], "data.batch_size=1: leaves a"),
        (["encoder=residual_mlp", "encoder.depth=0"], r"encoder\.depth=0"),
        (["encoder=residual_mlp", "encoder.width=wide"], r"encoder\.width=wide"),
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


def test_a_class_of_ones_own_that_writes_into_its_input_is_refused(
    complaint: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "in_place.py").write_text(
        "import torch\n"
        "class Written(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x.relu_()\n"
    )

    said = complaint("activation._target_=in_place.Written")

    assert said.startswith("activation._target_=in_place.Written: writes into its input")
