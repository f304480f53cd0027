"""The figures of one activation, together."""

import math

import pytest
from catalogue import figures as module
from catalogue.figures import figures_of
from torch import nn

from activae.activations import XIELU


def test_an_elementwise_activation_has_all_figures() -> None:
    figures = figures_of(nn.ReLU())

    assert (figures.chi_1, figures.s) == pytest.approx((1, 1))
    assert figures.gain == pytest.approx(math.sqrt(2))
    assert (figures.low, figures.high, figures.parameters) == (0, math.inf, 0)


def test_parameters_of_a_layer_are_counted() -> None:
    assert figures_of(XIELU()).parameters == 2


@pytest.mark.parametrize("name", ["gate", "both"])
def test_of_several_inputs_or_outputs_only_the_gain_is_given(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "gain", lambda activation: 1.5)

    figures = figures_of(request.getfixturevalue(name))

    assert figures.gain == 1.5
    assert (figures.chi_1, figures.s, figures.low, figures.high) == (None, None, None, None)
