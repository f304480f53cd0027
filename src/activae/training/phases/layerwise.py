"""Greedy layer-wise pretraining, then all layers together (Hinton & Salakhutdinov 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.models.autoencoder import is_weight_layer
from activae.models.counts import TotalSharingHead
from activae.objectives.batch import Batch, samples_of
from activae.training.phases.phase import Phase, boundaries, check_share


def layerwise(net: Autoencoder, total_steps: int, *, pretraining_share: float) -> list[Phase]:
    """Each layer of the encoder with its mirror in the decoder, from outside in; then all of them.

    A pair trains as an autoencoder of its own: to reconstruct what the layers before it, trained
    already and frozen, make of the sample; by mean squared error (Bengio et al. 2007, who put
    autoencoders in the place of the restricted Boltzmann machines of Hinton & Salakhutdinov).
    Regularisers, penalties and corruption belong to the last phase, which is joint. Pairs share
    `pretraining_share` of the steps equally. Runs are not stacked, for all members of a stack train
    the same parameters with one optimizer.

    Raises ConfigError unless 0 < share < 1, where the decoder does not mirror the encoder, and for
    an objective that has the network read or give anything but samples.
    """
    check_share("pretraining_share", pretraining_share)
    _refuse_other_scales(net)
    pairs = _pairs(net)
    shares = [pretraining_share / len(pairs)] * len(pairs) + [1 - pretraining_share]
    spans = boundaries(shares, total_steps, "layerwise")
    phases = [
        Phase(f"layer{number}", start, end, pair.trains, pair)
        for number, (pair, (start, end)) in enumerate(zip(pairs, spans[:-1], strict=True), start=1)
    ]
    return [*phases, Phase("joint", *spans[-1])]


def _refuse_other_scales(net: Autoencoder) -> None:
    if net.latent is not None:
        raise ConfigError(
            f"phases=layerwise: trains each layer with its mirror, and latent={net.latent.kind} "
            "stands between the innermost two; use phases=joint or latent=deterministic"
        )
    as_they_are = isinstance(net.input_transform, nn.Identity)
    if not as_they_are or isinstance(net.output_activation, TotalSharingHead):
        raise ConfigError(
            "phases=layerwise: trains layers to reconstruct the samples as they are, by squared "
            "error, and this objective has the network read logarithms and share out totals; use "
            "phases=joint or another objective"
        )


@dataclass(frozen=True)
class Pair:
    """A layer of the encoder and its mirror in the decoder: children `first` to `last` of each.

    below: how many of the encoder's children come before. innermost: whether the layer makes the
    code; outermost: whether its mirror makes the output.
    """

    below: int
    encoder: tuple[int, int]
    decoder: tuple[int, int]
    trains: tuple[str, ...]
    innermost: bool
    outermost: bool

    def __call__(self, net: Autoencoder, batch: Batch) -> dict[str, Tensor]:
        """The mean squared error of what the pair makes of its input."""
        below = _run(net.encoder, (0, self.below), samples_of(batch)).detach()
        return {"reconstruction": F.mse_loss(self.reconstruct(net, below), below)}

    def reconstruct(self, net: Autoencoder, below: Tensor) -> Tensor:
        """What the pair makes of its input [B, ...]."""
        above = _run(net.encoder, self.encoder, below)
        if self.innermost:
            above = net.code_activation(above)
        found = _run(net.decoder, self.decoder, above)
        return net.output_activation(found) if self.outermost else found


def _run(half: nn.Module, span: tuple[int, int], x: Tensor) -> Tensor:
    for module in list(half.children())[slice(*span)]:
        x = module(x)
    return x


def _pairs(net: Autoencoder) -> list[Pair]:
    """The encoder's layers from the data on, each with its mirror; ConfigError if it has none."""
    spans = _spans(net.encoder, "encoder")
    mirrored = _spans(net.decoder, "decoder")[::-1]
    if len(spans) != len(mirrored):
        raise ConfigError(
            "phases=layerwise: trains each layer of the encoder with its mirror in the decoder, "
            f"and they have {len(spans)} and {len(mirrored)} layers; choose halves that mirror "
            "each other"
        )
    pairs = [
        Pair(
            spans[number][0],
            spans[number],
            mirrored[number],
            (
                *_names(net.encoder, spans[number], "encoder"),
                *_names(net.decoder, mirrored[number], "decoder"),
                *(("code_activation.",) if number == len(spans) - 1 else ()),
                *(("output_activation.",) if number == 0 else ()),
            ),
            innermost=number == len(spans) - 1,
            outermost=number == 0,
        )
        for number in range(len(spans))
    ]
    _check_shapes(net, pairs)
    return pairs


def _spans(half: nn.Module, key: str) -> list[tuple[int, int]]:
    """First and last child of each layer: one with weights, and what follows up to the next.

    What flattens the input of a layer belongs to it.
    """
    children = list(half.children())
    starts = [
        place - isinstance(children[place - 1], nn.Flatten)
        for place, child in enumerate(children)
        if any(map(is_weight_layer, child.modules()))
    ]
    if not isinstance(half, nn.Sequential) or not starts:
        raise ConfigError(
            f"phases=layerwise: needs to know the layers of the {key}, and "
            f"{type(half).__name__} is no torch.nn.Sequential of layers with weights"
        )
    starts[0] = 0  # what comes before the first is part of it
    return list(zip(starts, [*starts[1:], len(children)], strict=True))


def _names(half: nn.Module, span: tuple[int, int], prefix: str) -> Sequence[str]:
    return [f"{prefix}.{name}." for name, _ in list(half.named_children())[slice(*span)]]


@torch.no_grad()
def _check_shapes(net: Autoencoder, pairs: Sequence[Pair]) -> None:
    net.eval()  # random activations draw nothing
    below = next(net.parameters()).new_zeros(2, *net.shape)
    for number, pair in enumerate(pairs, start=1):
        try:
            shape = str(tuple(pair.reconstruct(net, below).shape[1:]))
        except RuntimeError as error:
            shape = f"an error: {error}"
        if shape != str(tuple(below.shape[1:])):
            raise ConfigError(
                f"phases=layerwise: layer {number} of the encoder takes {tuple(below.shape[1:])}, "
                f"and its mirror in the decoder gives back {shape}; choose halves that mirror each "
                "other, such as encoder.hidden=[64,32] decoder.hidden=[32,64]"
            )
        below = _run(net.encoder, pair.encoder, below)
    net.train()
