"""Convolutional encoder and decoder for images whose sides halve evenly at each layer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import nn

from activae.errors import ConfigError
from activae.models.hidden import ActivationFactory, Hidden, Layers, build_matched, check_widths


class ConvEncoder(nn.Sequential):
    """[B, C, H, W] -> [B, code_dim]: stride-2 convolutions of `channels`, then a linear layer.

    normalisation, dropout: see `activae.models.hidden.Hidden`; match_parameters: whether
    `build_matched` scales the channels for an activation that is not elementwise. Raises
    ConfigError where the data are not images, or a side cannot be halved once for each layer.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        code_dim: int,
        *,
        channels: Sequence[int],
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
        match_parameters: bool = True,
    ) -> None:
        coarsest = _coarsest(input_shape, channels, "encoder")
        kind = Hidden("encoder", activation, normalisation, dropout)
        build = partial(_encoder, input_shape[0], coarsest, code_dim)
        super().__init__(build_matched(build, kind, channels, match=match_parameters))


class ConvDecoder(nn.Sequential):
    """[B, code_dim] -> [B, C, H, W]: a linear layer, then transposed convolutions from `channels`.

    The other parameters, and what is raised, are those of ConvEncoder.
    """

    def __init__(
        self,
        code_dim: int,
        output_shape: Sequence[int],
        *,
        channels: Sequence[int],
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
        match_parameters: bool = True,
    ) -> None:
        coarsest = _coarsest(output_shape, channels, "decoder")
        kind = Hidden("decoder", activation, normalisation, dropout)
        build = partial(_decoder, code_dim, coarsest, output_shape[0])
        super().__init__(build_matched(build, kind, channels, match=match_parameters))


def _encoder(
    before: int, coarsest: tuple[int, int], code_dim: int, kind: Hidden, channels: Sequence[int]
) -> Layers:
    layers: Layers = OrderedDict()
    for number, units in enumerate(channels, start=1):
        layers[f"layer{number}"] = nn.Conv2d(before, kind.before(units), 3, stride=2, padding=1)
        kind.add_activation(layers, units, number, image=True)
        before = kind.after(units)
    layers["flatten"] = nn.Flatten()
    layers["code"] = nn.Linear(before * coarsest[0] * coarsest[1], code_dim)
    return layers


def _decoder(
    code_dim: int, coarsest: tuple[int, int], after: int, kind: Hidden, channels: Sequence[int]
) -> Layers:
    layers: Layers = OrderedDict()
    first = (kind.before(channels[0]), *coarsest)
    layers["layer1"] = nn.Linear(code_dim, first[0] * first[1] * first[2])
    layers["unflatten"] = nn.Unflatten(1, first)
    kind.add_activation(layers, channels[0], 1, image=True)
    for number, (units, following) in enumerate(pairwise(channels), start=2):
        layers[f"layer{number}"] = _doubling(kind.after(units), kind.before(following))
        kind.add_activation(layers, following, number, image=True)
    layers["output"] = _doubling(kind.after(channels[-1]), after)
    return layers


def _doubling(before: int, after: int) -> nn.ConvTranspose2d:
    """Doubles height and width; a kernel of twice the stride leaves no checkerboard of overlaps."""
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)


def _coarsest(shape: Sequence[int], channels: Sequence[int], half: str) -> tuple[int, int]:
    """Height and width after one halving for each of `channels`."""
    check_widths(channels, f"{half}.channels", at_least=1)
    if len(shape) != 3:
        raise ConfigError(
            f"{half}=conv takes images of shape (channels, height, width), and the data have shape "
            f"{tuple(shape)}; use {half}=mlp"
        )
    step = 2 ** len(channels)
    if shape[1] % step or shape[2] % step:
        raise ConfigError(
            f"{half}.channels={list(channels)} halves height and width {len(channels)} times, and "
            f"{tuple(shape)} cannot be divided by {step}; give fewer channels or use {half}=mlp"
        )
    return shape[1] // step, shape[2] // step
