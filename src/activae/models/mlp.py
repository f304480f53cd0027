"""Fully connected encoder and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod

from torch import nn

from activae.models.hidden import (
    ActivationFactory,
    Hidden,
    Layers,
    build_matched,
    check_widths,
    to_code,
    to_samples,
)


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
        build = partial(to_code, _add_hidden, prod(input_shape), code_dim)
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
        build = partial(to_samples, _add_hidden, code_dim, output_shape)
        super().__init__(build_matched(build, kind, hidden, match=match_parameters))


def _add_hidden(layers: Layers, width: int, kind: Hidden, hidden: Sequence[int]) -> int:
    """Append the hidden layers and return the width that the next layer takes."""
    for number, units in enumerate(hidden, start=1):
        layers[f"layer{number}"] = nn.Linear(width, kind.before(units))
        kind.add_activation(layers, units, number)
        width = kind.after(units)
    return width
