"""Fully connected encoder and decoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from math import prod

from torch import nn

from activae.models.hidden import ActivationFactory, Hidden, Layers, build_matched, check_widths


class MLPEncoder(nn.Sequential):
    """[B, *input_shape] -> [B, code_dim] through fully connected layers of widths `hidden`.

    normalisation, dropout: see `activae.models.hidden.Hidden`; match_parameters: whether
    `build_matched` scales the widths for an activation that is not elementwise. Raises ConfigError
    for widths that are no counts.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        code_dim: int,
        *,
        hidden: Sequence[int],
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
        match_parameters: bool = True,
    ) -> None:
        check_widths(hidden, "encoder.hidden")
        kind = Hidden("encoder", activation, normalisation, dropout)
        build = partial(_encoder, prod(input_shape), code_dim)
        super().__init__(build_matched(build, kind, hidden, match=match_parameters))


class MLPDecoder(nn.Sequential):
    """[B, code_dim] -> [B, *output_shape] through fully connected layers of widths `hidden`.

    The other parameters, and what is raised, are those of MLPEncoder.
    """

    def __init__(
        self,
        code_dim: int,
        output_shape: Sequence[int],
        *,
        hidden: Sequence[int],
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
        match_parameters: bool = True,
    ) -> None:
        check_widths(hidden, "decoder.hidden")
        kind = Hidden("decoder", activation, normalisation, dropout)
        build = partial(_decoder, code_dim, output_shape)
        super().__init__(build_matched(build, kind, hidden, match=match_parameters))


def _encoder(inputs: int, code_dim: int, kind: Hidden, hidden: Sequence[int]) -> Layers:
    layers: Layers = OrderedDict(flatten=nn.Flatten())
    width = _add_hidden(layers, inputs, kind, hidden)
    layers["code"] = nn.Linear(width, code_dim)
    return layers


def _decoder(code_dim: int, shape: Sequence[int], kind: Hidden, hidden: Sequence[int]) -> Layers:
    layers: Layers = OrderedDict()
    width = _add_hidden(layers, code_dim, kind, hidden)
    layers["output"] = nn.Linear(width, prod(shape))
    if len(shape) > 1:
        layers["unflatten"] = nn.Unflatten(1, tuple(shape))
    return layers


def _add_hidden(layers: Layers, width: int, kind: Hidden, hidden: Sequence[int]) -> int:
    """Append the hidden layers and return the width that the next layer takes."""
    for number, units in enumerate(hidden, start=1):
        layers[f"layer{number}"] = nn.Linear(width, kind.before(units))
        kind.add_activation(layers, units, number)
        width = kind.after(units)
    return width
