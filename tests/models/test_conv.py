"""Convolutional halves."""

import pytest
import torch
from torch import Tensor, nn

from activae.errors import ConfigError
from activae.models import ConvDecoder, ConvEncoder


def sizes(module: nn.Sequential, x: Tensor) -> list[tuple[int, ...]]:
    """Shape of one sample after each convolution, on its way through the layers."""
    seen = []
    for layer in module:
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            seen.append(tuple(x.shape[1:]))
    return seen


def test_each_layer_halves_and_the_decoder_doubles_again() -> None:
    encoder = ConvEncoder((3, 32, 32), 10, channels=[4, 8], activation=nn.ReLU)
    decoder = ConvDecoder(10, (3, 32, 32), channels=[8, 4], activation=nn.ReLU)

    assert sizes(encoder, torch.rand(2, 3, 32, 32)) == [(4, 16, 16), (8, 8, 8)]
    assert sizes(decoder, torch.rand(2, 10)) == [(4, 16, 16), (3, 32, 32)]


@pytest.mark.parametrize("channels", [[5], [4, 6], [4, 6, 8]])
def test_depth_is_that_of_channels_and_sides_may_differ(channels: list[int]) -> None:
    encoder = ConvEncoder((1, 16, 8), 7, channels=channels, activation=nn.ReLU)
    decoder = ConvDecoder(7, (1, 16, 8), channels=channels[::-1], activation=nn.ReLU)

    assert decoder(encoder(torch.rand(2, 1, 16, 8))).shape == (2, 1, 16, 8)


def test_every_layer_but_the_last_of_each_half_owns_an_activation() -> None:
    encoder = ConvEncoder((1, 8, 8), 7, channels=[4, 6], activation=nn.PReLU)
    decoder = ConvDecoder(7, (1, 8, 8), channels=[6, 4], activation=nn.PReLU)

    owned = [m for half in (encoder, decoder) for m in half.modules() if isinstance(m, nn.PReLU)]
    assert len({id(module) for module in owned}) == 4
    assert isinstance(encoder[-1], nn.Linear)
    assert isinstance(decoder[-1], nn.ConvTranspose2d)


def test_vectors_are_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"encoder=conv .*\(784,\); use encoder=mlp"):
        ConvEncoder((784,), 7, channels=[4], activation=nn.ReLU)
    with pytest.raises(ConfigError, match=r"decoder=conv .*\(784,\); use decoder=mlp"):
        ConvDecoder(7, (784,), channels=[4], activation=nn.ReLU)


def test_a_side_that_cannot_be_halved_as_often_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"3 times, and \(1, 28, 28\) cannot be divided by 8"):
        ConvEncoder((1, 28, 28), 7, channels=[4, 6, 8], activation=nn.ReLU)
    with pytest.raises(ConfigError, match=r"decoder.channels=\[8, 6, 4\]"):
        ConvDecoder(7, (1, 28, 28), channels=[8, 6, 4], activation=nn.ReLU)


@pytest.mark.parametrize("channels", [[], [0], [4, -1], [2.5]])
def test_channels_that_are_no_counts_are_refused(channels: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"encoder.channels=\["):
        ConvEncoder((1, 8, 8), 7, channels=channels, activation=nn.ReLU)
