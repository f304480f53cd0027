"""Initial weights from an explicit generator, the same base noise whatever the activation.

In: an autoencoder and a seed, and for `lsuv` training samples. Weights and biases change in place,
but for those that the network froze (requires_grad=False): a pretrained layer stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from activae.activations import gain
from activae.errors import ConfigError
from activae.models.autoencoder import Autoencoder, is_weight_layer, layers
from activae.randomness import generator

OwnRule = Callable[..., Tensor]


@torch.no_grad()
def fitted(net: Autoencoder, *, seed: int) -> None:
    """Weights ~ N(0, gain^2 / fan_in) and biases 0, in place.

    gain = 1 / sqrt(E[f(z)^2]), z ~ N(0, 1), for the activation f that the layer's inputs went
    through: it keeps pre-activations at unit variance (He et al. 2015 for ReLU; here by quadrature
    for any f). The data and linear codes count as f(z) = z. Raises ConfigError where f has no gain.

    An activation may have its own rule for the layer before it, as siren does: a method
    `initial_weights(normal, fan_in, *, first) -> Tensor`. It makes the weights from the standard
    normal noise that other activations scale; `first`: whether that layer is the half's first.
    """
    feeding: nn.Module | None = None
    for half in in_order(net, seed):
        for place, (module, noise) in enumerate(half):
            if not is_weight_layer(module):
                feeding = module
                continue
            normal = torch.randn(module.weight.shape, generator=noise)
            rule = _own_rule(half, place)
            if rule is None:
                scale = gain(feeding) if feeding is not None else 1.0
                _set(module.weight, normal * (scale / sqrt(fan_in(module))))
            else:
                _set(module.weight, rule(normal, fan_in(module), first=place == 0))
            if module.bias is not None:
                _set(module.bias, torch.zeros_like(module.bias))
            feeding = None


@torch.no_grad()
def torch_default(net: Autoencoder, *, seed: int) -> None:
    """Weights and biases ~ U(-1/sqrt(fan_in), 1/sqrt(fan_in)), in place: torch's own default."""
    for module, noise in chain(*in_order(net, seed)):
        if is_weight_layer(module):
            # torch's fan_in is weight.size(1) times the kernel, in transposed convolutions too.
            bound = 1 / sqrt(module.weight[0].numel())
            for tensor in (module.weight, module.bias):
                if tensor is not None:
                    uniform = torch.rand(tensor.shape, generator=noise)
                    _set(tensor, (2 * uniform - 1) * bound)


@torch.no_grad()
def lsuv(net: Autoencoder, *, seed: int, samples: Tensor) -> None:
    """Orthogonal weights, scaled layer by layer to outputs of variance 1; biases 0; in place.

    samples: real training data [B, *shape] in the network's own dtype and on its device, the same
    for all activations of a seed. The variance is that of all a layer's outputs for them, taken in
    evaluation mode (Mishkin & Matas 2016; without biases a layer is linear in its weights, so that
    one division does what the paper iterates). An activation's own rule is ignored: use init=fitted
    for siren, whose weights must be smaller. Raises ConfigError where a layer's outputs are all
    the same, or not finite.
    """
    for module, noise in chain(*in_order(net, seed)):
        if is_weight_layer(module):
            drawn = torch.empty_like(module.weight)
            _set(module.weight, nn.init.orthogonal_(drawn, generator=noise))
            if module.bias is not None:
                _set(module.bias, torch.zeros_like(module.bias))
    net.eval()
    with ExitStack() as hooks:
        for name, module in net.named_modules():
            if is_weight_layer(module) and module.weight.requires_grad:
                hooks.enter_context(module.register_forward_hook(_rescaling(name)))
        net(samples)
    net.train()


def _set(parameter: Tensor, values: Tensor) -> None:
    """Give a parameter its first values, drawn for it in any case, unless it is frozen."""
    if parameter.requires_grad:
        parameter.copy_(values)


def _rescaling(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """A hook that scales a layer's weights, and this output of it, to unit variance of the output.

    The layers behind it see the scaled output, so that one pass is enough for all.
    """

    def rescale(module: nn.Module, _: Any, output: Tensor) -> Tensor:
        deviation = output.std(correction=0)
        if not (deviation > 0 and deviation.isfinite()):
            raise ConfigError(
                f"init=lsuv: the outputs of {name} have a standard deviation of {deviation:.3g} "
                "for a batch of training data, which no factor makes 1; use init=fitted"
            )
        assert is_weight_layer(module)
        module.weight.div_(deviation)
        return output / deviation

    return rescale


def in_order(net: Autoencoder, seed: int) -> Iterator[list[tuple[nn.Module, torch.Generator]]]:
    """For each half, its weight layers and activations in forward order, with the half's generator.

    Each half has its own, so that another encoder leaves the decoder's noise as it was.
    """
    halves = {"encoder": [net.encoder, net.code_activation], "decoder": [net.decoder]}
    for half, parts in halves.items():
        noise = generator(seed, "weights", half)
        yield [(module, noise) for part in parts for _, module in layers(part)]


def fan_in(module: nn.Linear | nn.modules.conv._ConvNd) -> int:
    """How many inputs one output sums over."""
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        # weight: [in, out / groups, *kernel]; a stride of s leaves 1 tap in s to each output.
        taps = prod(module.kernel_size) / prod(module.stride)
        return max(1, round(module.in_channels / module.groups * taps))
    return module.weight[0].numel()


def _own_rule(half: list[tuple[nn.Module, torch.Generator]], place: int) -> OwnRule | None:
    """The rule of the activation that the layer at this place feeds, if it has one.

    A layer that follows another layer is a residual block's shortcut, which must keep the scale of
    what it projects.
    """
    if place > 0 and is_weight_layer(half[place - 1][0]):
        return None
    following = [module for module, _ in half[place + 1 :] if not is_weight_layer(module)]
    return getattr(following[0], "initial_weights", None) if following else None
