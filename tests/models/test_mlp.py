"""Fully connected halves."""

import pytest
import torch
from torch import nn

from activae.errors import ConfigError
from activae.models import MLPDecoder, MLPEncoder


def linear_shapes(module: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, nn.Linear)]


def test_widths_are_the_articles_by_way_of_hidden() -> None:
    encoder = MLPEncoder((784,), 32, hidden=[64, 32], activation=nn.ReLU)
    decoder = MLPDecoder(32, (784,), hidden=[32, 64], activation=nn.ReLU)

    assert linear_shapes(encoder) == [(784, 64), (64, 32), (32, 32)]
    assert linear_shapes(decoder) == [(32, 32), (32, 64), (64, 784)]


def test_without_hidden_layers_both_halves_are_linear_maps() -> None:
    encoder = MLPEncoder((1, 2, 3), 4, hidden=[], activation=nn.ReLU)
    decoder = MLPDecoder(4, (1, 2, 3), hidden=[], activation=nn.ReLU)

    assert linear_shapes(encoder) == [(6, 4)]
    assert decoder(encoder(torch.rand(5, 1, 2, 3))).shape == (5, 1, 2, 3)


def test_every_hidden_layer_owns_its_activation() -> None:
    encoder = MLPEncoder((6,), 2, hidden=[5, 4, 3], activation=nn.PReLU)

    owned = [module for module in encoder.modules() if isinstance(module, nn.PReLU)]
    assert len({id(module.weight) for module in owned}) == 3


def test_the_callers_widths_stay_as_they_are() -> None:
    hidden = [5, 4]

    MLPEncoder((6,), 2, hidden=hidden, activation=nn.ReLU)
    MLPDecoder(2, (6,), hidden=hidden, activation=nn.ReLU)

    assert hidden == [5, 4]


@pytest.mark.parametrize("hidden", [[0], [8, -1], [2.5], ["8"]])
def test_widths_that_are_no_counts_are_refused(hidden: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"encoder.hidden=\["):
        MLPEncoder((6,), 2, hidden=hidden, activation=nn.ReLU)
    with pytest.raises(ConfigError, match=r"decoder.hidden=\["):
        MLPDecoder(2, (6,), hidden=hidden, activation=nn.ReLU)
