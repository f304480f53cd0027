"""Phases: what trains when, and by which loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.errors import ConfigError
from activae.models import Autoencoder, ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from activae.training.phases import Phase, encoder_then_decoder, joint, layerwise

Compose = Callable[..., DictConfig]


def autoencoder(encoder: list[int], decoder: list[int]) -> Autoencoder:
    return Autoencoder(
        MLPEncoder((10,), 3, hidden=encoder, activation=nn.PReLU),
        MLPDecoder(3, (10,), hidden=decoder, activation=nn.PReLU),
        shape=(10,),
        code_activation=nn.PReLU(),
    )


def training(net: Autoencoder) -> set[str]:
    return {name for name, p in net.named_parameters() if p.requires_grad}


def test_joint_is_one_phase_in_which_all_trains() -> None:
    net = autoencoder([6], [6])

    (phase,) = joint(net, 10)
    phase.freeze(net)

    assert (phase.start, phase.end, phase.objective) == (0, 10, None)
    assert training(net) == {name for name, _ in net.named_parameters()}


def test_the_encoder_trains_before_the_decoder() -> None:
    net = autoencoder([6], [6])

    first, second = encoder_then_decoder(net, 10, encoder_share=0.3)

    assert [(p.name, p.start, p.end) for p in (first, second)] == [
        ("encoder", 0, 3),
        ("decoder", 3, 10),
    ]
    first.freeze(net)
    halves = {name.split(".")[0] for name in training(net)}
    assert halves == {"encoder", "code_activation"}
    second.freeze(net)
    assert {name.split(".")[0] for name in training(net)} == {"decoder"}


def test_layers_train_in_pairs_from_outside_in_and_then_together() -> None:
    net = autoencoder([8, 6], [6, 8])

    phases = layerwise(net, 60, pretraining_share=0.5)

    assert [(p.name, p.start, p.end) for p in phases] == [
        ("layer1", 0, 10),
        ("layer2", 10, 20),
        ("layer3", 20, 30),
        ("joint", 30, 60),
    ]
    trained = []
    for phase in phases:
        phase.freeze(net)
        trained.append(training(net))
    weights = [{name for name in names if name.endswith("weight")} for names in trained]
    assert {"encoder.layer1.weight", "decoder.output.weight"} <= weights[0]
    assert {"encoder.layer2.weight", "decoder.layer2.weight"} <= weights[1]
    assert {"encoder.code.weight", "decoder.layer1.weight", "code_activation.weight"} <= weights[2]
    assert trained[0].isdisjoint(trained[1] | trained[2])
    assert trained[1].isdisjoint(trained[2])
    assert trained[0] | trained[1] | trained[2] == trained[3]


def test_a_pair_reconstructs_what_the_layers_before_it_make_of_the_sample() -> None:
    net = autoencoder([8, 6], [6, 8])
    x = torch.randn(4, 10)
    second = layerwise(net, 60, pretraining_share=0.5)[1].objective
    assert second is not None

    encoder, decoder = net.encoder, net.decoder
    assert isinstance(encoder, nn.Sequential)
    assert isinstance(decoder, nn.Sequential)
    below = encoder.activation1(encoder.layer1(x))
    above = encoder.activation2(encoder.layer2(below))
    expected = (decoder.activation2(decoder.layer2(above)) - below).square().mean()

    torch.testing.assert_close(second(net, x)["reconstruction"], expected)


def test_convolutions_have_their_mirrors_too() -> None:
    net = Autoencoder(
        ConvEncoder((1, 8, 8), 3, channels=[4, 6], activation=nn.ReLU),
        ConvDecoder(3, (1, 8, 8), channels=[6, 4], activation=nn.ReLU),
        shape=(1, 8, 8),
    )

    phases = layerwise(net, 60, pretraining_share=0.5)

    assert len(phases) == 4
    for phase in phases[:-1]:
        assert phase.objective is not None
        assert phase.objective(net, torch.rand(2, 1, 8, 8))["reconstruction"].isfinite()


@pytest.mark.parametrize("decoder", [[6], [7, 8]])
def test_a_decoder_that_does_not_mirror_the_encoder_is_refused(decoder: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"phases=layerwise.*mirror"):
        layerwise(autoencoder([8, 6], decoder), 60, pretraining_share=0.5)


def test_an_encoder_whose_layers_are_not_known_is_refused() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(10, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)  # type: ignore[no-any-return]

    net = Autoencoder(Whole(), nn.Sequential(nn.Linear(3, 10)), shape=(10,))
    with pytest.raises(ConfigError, match="layers of the encoder, and Whole"):
        layerwise(net, 60, pretraining_share=0.5)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (("phases=encoder_then_decoder", "phases.encoder_share=1"), ["phases.encoder_share=1"]),
        (("phases=layerwise", "phases.pretraining_share=0"), ["phases.pretraining_share=0"]),
        (("phases=layerwise", "trainer.max_steps=3"), ["phases=layerwise", "4 phases", "3 step"]),
        (("phases=layers",), ["phases=layers"]),
    ],
)
def test_phases_of_no_sense_are_refused(
    overrides: tuple[str, ...], parts: list[str], complaint: Callable[..., str]
) -> None:
    said = complaint(*overrides)
    assert [part for part in parts if part not in said] == [], said


def test_every_phase_has_a_step_where_there_are_few() -> None:
    net = autoencoder([8, 6], [6, 8])

    spans = [(p.start, p.end) for p in layerwise(net, 4, pretraining_share=0.01)]

    assert spans == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("way", [joint, partial(layerwise, pretraining_share=0.5)])
def test_what_its_author_froze_trains_in_no_phase(way: Callable[..., list[Phase]]) -> None:
    net = autoencoder([8, 6], [6, 8])
    net.encoder.layer1.requires_grad_(False)  # type: ignore[operator, union-attr]
    kept = {name for name, p in net.named_parameters() if not p.requires_grad}

    for phase in way(net, 60):
        phase.freeze(net, kept)

        assert kept == {"encoder.layer1.weight", "encoder.layer1.bias"}
        assert training(net).isdisjoint(kept)


def test_a_phase_in_which_nothing_would_train_is_refused() -> None:
    net = autoencoder([6], [6])
    first, second = encoder_then_decoder(net, 10, encoder_share=0.5)
    kept = {name for name, _ in net.named_parameters() if not name.startswith("decoder.")}

    with pytest.raises(ConfigError, match="nothing trains in the phase encoder"):
        first.freeze(net, kept)
    second.freeze(net, kept)
    assert training(net)
