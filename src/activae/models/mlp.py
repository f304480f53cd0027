"""Fully connected encoder and decoder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import prod

from torch import nn

from activae.errors import ConfigError

ActivationFactory = Callable[[], nn.Module]


class MLPEncoder(nn.Sequential):
    """[B, *input_shape] -> [B, code_dim] through fully connected layers of widths `hidden`."""

    def __init__(
        self,
        input_shape: Sequence[int],
        code_dim: int,
        *,
        hidden: Sequence[int],
        activation: ActivationFactory,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        width = _add_hidden(layers, prod(input_shape), hidden, activation, "encoder.hidden")
        layers["code"] = nn.Linear(width, code_dim)
        super().__init__(layers)


class MLPDecoder(nn.Sequential):
    """[B, code_dim] -> [B, *output_shape] through fully connected layers of widths `hidden`."""

    def __init__(
        self,
        code_dim: int,
        output_shape: Sequence[int],
        *,
        hidden: Sequence[int],
        activation: ActivationFactory,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = _add_hidden(layers, code_dim, hidden, activation, "decoder.hidden")
        layers["output"] = nn.Linear(width, prod(output_shape))
        if len(output_shape) > 1:
            layers["unflatten"] = nn.Unflatten(1, tuple(output_shape))
        super().__init__(layers)


def _add_hidden(
    layers: OrderedDict[str, nn.Module],
    width: int,
    hidden: Sequence[int],
    activation: ActivationFactory,
    key: str,
) -> int:
    """Append the hidden layers and return the width that the next layer takes."""
    for number, units in enumerate(hidden, start=1):
        if not isinstance(units, int) or units < 1:
            raise ConfigError(f"{key}={list(hidden)}: widths must be whole numbers of 1 or more")
        layers[f"layer{number}"] = nn.Linear(width, units)
        layers[f"activation{number}"] = activation()
        width = units
    return width
