"""Hidden layers: how wide they are for an activation, and what follows their weights."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

from activae.activations import values_per_unit
from activae.errors import ConfigError

log = logging.getLogger(__name__)

ActivationFactory = Callable[[], nn.Module]
Layers = OrderedDict[str, nn.Module]

NORMALISATIONS = ("batch", "layer", "group")
_CHANNELS_PER_GROUP = 16  # Wu & He 2018; normalised one by one, values of a vector would all be 0
_HALVINGS = 14  # of the range of scales: enough for layers of thousands of units


class Hidden:
    """What the hidden layers of a half have in common.

    half: `encoder` or `decoder`, for messages.
    activation: makes one for each layer.
    normalisation: of pre-activations, between weights and activation: `batch` (Ioffe & Szegedy
        2015), `layer` (Ba et al. 2016), `group` (Wu & He 2018; about 16 channels each), or None.
        Running means are buffers: runs with `batch` can neither be stacked nor compiled.
    dropout: probability with which an activation's output is set to 0 in training (Srivastava et
        al. 2014). Its random numbers keep a run from being stacked.

    Raises ConfigError for an unknown normalisation, or a probability outside [0, 1).
    """

    def __init__(
        self,
        half: str,
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        if normalisation not in (None, *NORMALISATIONS):
            raise ConfigError(
                f"{half}.normalisation={normalisation}: must be null or one of "
                f"{', '.join(NORMALISATIONS)}"
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"{half}.dropout={dropout}: must be at least 0 and less than 1")
        self.half = half
        self.activation = activation
        self.normalisation = normalisation
        self.dropout = dropout
        self.inputs, self.outputs = values_per_unit(activation())

    def before(self, units: int) -> int:
        """How many values (channels, of an image) enter the activation of so many units."""
        return self.inputs * units

    def after(self, units: int) -> int:
        """How many values leave it."""
        return self.outputs * units

    def add_activation(
        self, layers: Layers, units: int, number: int | None = None, *, image: bool = False
    ) -> None:
        """Append normalisation, activation and dropout of a layer, as far as there are any."""
        suffix = "" if number is None else str(number)
        if self.normalisation is not None:
            layers[f"normalisation{suffix}"] = _normalisation(
                self.normalisation, self.before(units), image=image
            )
        layers[f"activation{suffix}"] = self.activation()
        if self.dropout:
            layers[f"dropout{suffix}"] = nn.Dropout(self.dropout)

    def elementwise(self) -> Hidden:
        """The same with an activation that has one input and one output for each unit."""
        return Hidden(self.half, nn.Identity, self.normalisation, self.dropout)


def build_matched(
    build: Callable[[Hidden, Sequence[int]], Layers],
    hidden: Hidden,
    widths: Sequence[int],
    *,
    match: bool,
) -> Layers:
    """Layers of `build(hidden, widths)`, the widths scaled where the activation asks for it.

    An activation with several inputs or outputs for each unit makes a network of the same widths a
    larger one. With `match`, all widths are multiplied by the factor that brings the half's number
    of parameters closest to that with an elementwise activation, as Shazeer (2020) does. For a GLU
    that is 0.7 where all layers are alike, 1/2 where most parameters are in the layer at the data.
    The log reports widths and numbers.
    """
    if not match or hidden.inputs == hidden.outputs == 1:
        return build(hidden, widths)
    with torch.device("meta"):  # shapes without memory
        wanted = _count(build(hidden.elementwise(), widths))
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            fewer = _count(build(hidden, _scaled(widths, middle))) < wanted
            low, high = (middle, high) if fewer else (low, middle)
        options = [_scaled(widths, low), _scaled(widths, high)]
        counts = [_count(build(hidden, option)) for option in options]
    found, chosen = min(zip(counts, options, strict=True), key=lambda each: abs(each[0] - wanted))
    log.info(
        "%s  widths %s for %s: %s parameters, to match the %s of an elementwise activation",
        hidden.half,
        chosen,
        list(widths),
        f"{found:,}",
        f"{wanted:,}",
    )
    return build(hidden, chosen)


def check_widths(widths: Sequence[int], key: str, *, at_least: int = 0) -> None:
    """Raise ConfigError unless there are `at_least` widths, whole numbers of 1 or more."""
    if len(widths) < at_least:
        raise ConfigError(f"{key}={list(widths)}: give one or more whole numbers of 1 or more")
    if any(not isinstance(width, int) or width < 1 for width in widths):
        raise ConfigError(f"{key}={list(widths)}: must be whole numbers of 1 or more")


def _scaled(widths: Sequence[int], scale: float) -> list[int]:
    return [max(1, round(scale * width)) for width in widths]


def _count(layers: Layers) -> int:
    return sum(p.numel() for module in layers.values() for p in module.parameters())


def _normalisation(kind: str, channels: int, *, image: bool) -> nn.Module:
    """Of [B, channels] or, with `image`, of [B, channels, H, W]."""
    if kind == "batch":
        return nn.BatchNorm2d(channels) if image else nn.BatchNorm1d(channels)
    if kind == "layer":
        return nn.GroupNorm(1, channels) if image else nn.LayerNorm(channels)
    return nn.GroupNorm(_groups(channels), channels)


def _groups(channels: int) -> int:
    """The number of equal groups: of 16 channels each, or of more where those do not divide."""
    wanted = max(1, channels // _CHANNELS_PER_GROUP)
    return next(groups for groups in range(wanted, 0, -1) if channels % groups == 0)
