"""Convolutional encoder and decoder for images whose sides halve evenly at each layer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from activae.errors import ConfigError

ActivationFactory = Callable[[], nn.Module]


class ConvEncoder(nn.Sequential):
    """[B, C, H, W] -> [B, code_dim]: stride-2 convolutions of `channels`, then a linear layer.

    Raises ConfigError where the data are no images, or a side cannot be halved once for each layer.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        code_dim: int,
        *,
        channels: Sequence[int],
        activation: ActivationFactory,
    ) -> None:
        height, width = _coarsest(input_shape, channels, "encoder")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        before = input_shape[0]
        for number, after in enumerate(channels, start=1):
            layers[f"layer{number}"] = nn.Conv2d(before, after, 3, stride=2, padding=1)
            layers[f"activation{number}"] = activation()
            before = after
        layers["flatten"] = nn.Flatten()
        layers["code"] = nn.Linear(before * height * width, code_dim)
        super().__init__(layers)


class ConvDecoder(nn.Sequential):
    """[B, code_dim] -> [B, C, H, W]: a linear layer, then transposed convolutions from `channels`.

    Raises ConfigError where the data are no images, or a side cannot be halved once for each layer.
    """

    def __init__(
        self,
        code_dim: int,
        output_shape: Sequence[int],
        *,
        channels: Sequence[int],
        activation: ActivationFactory,
    ) -> None:
        height, width = _coarsest(output_shape, channels, "decoder")
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["layer1"] = nn.Linear(code_dim, channels[0] * height * width)
        layers["activation1"] = activation()
        layers["unflatten"] = nn.Unflatten(1, (channels[0], height, width))
        for number, (before, after) in enumerate(pairwise(channels), start=2):
            layers[f"layer{number}"] = _doubling(before, after)
            layers[f"activation{number}"] = activation()
        layers["output"] = _doubling(channels[-1], output_shape[0])
        super().__init__(layers)


def _doubling(before: int, after: int) -> nn.ConvTranspose2d:
    """Doubles height and width; a kernel of twice the stride leaves no checkerboard of overlaps."""
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)


def _coarsest(shape: Sequence[int], channels: Sequence[int], half: str) -> tuple[int, int]:
    """Height and width after one halving for each of `channels`."""
    if not channels or any(not isinstance(c, int) or c < 1 for c in channels):
        raise ConfigError(
            f"{half}.channels={list(channels)}: give one or more whole numbers of 1 or more"
        )
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
