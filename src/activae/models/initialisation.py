"""Initial weights from an explicit generator, the same base noise whatever the activation."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt

import torch
from torch import nn

from activae.activations import gain
from activae.models.network import Autoencoder, is_weight_layer, layers
from activae.randomness import generator


@torch.no_grad()
def fitted(net: Autoencoder, *, seed: int) -> None:
    """Weights ~ N(0, gain^2 / fan_in) and biases 0, in place.

    gain = 1 / sqrt(E[f(z)^2]), z ~ N(0, 1), for the activation f that the layer's inputs went
    through: it keeps pre-activations at unit variance (He et al. 2015 for ReLU; here by quadrature
    for any f). The data and linear codes count as f(z) = z. Raises ConfigError where f has no gain.
    """
    feeding = 1.0
    for module, noise in _in_order(net, seed):
        if is_weight_layer(module):
            normal = torch.randn(module.weight.shape, generator=noise)
            module.weight.copy_(normal * (feeding / sqrt(_fan_in(module))))
            if module.bias is not None:
                module.bias.zero_()
            feeding = 1.0
        else:
            feeding = gain(module)


@torch.no_grad()
def torch_default(net: Autoencoder, *, seed: int) -> None:
    """Weights and biases ~ U(-1/sqrt(fan_in), 1/sqrt(fan_in)), in place: torch's own default."""
    for module, noise in _in_order(net, seed):
        if is_weight_layer(module):
            # torch's fan_in is weight.size(1) times the kernel, in transposed convolutions too.
            bound = 1 / sqrt(module.weight[0].numel())
            for tensor in (module.weight, module.bias):
                if tensor is not None:
                    uniform = torch.rand(tensor.shape, generator=noise)
                    tensor.copy_((2 * uniform - 1) * bound)


def _in_order(net: Autoencoder, seed: int) -> Iterator[tuple[nn.Module, torch.Generator]]:
    """Weight layers and activations as a sample meets them, with the generator of their half.

    A generator for each half: another encoder leaves the decoder's noise as it was.
    """
    halves = {"encoder": [net.encoder, net.code_activation], "decoder": [net.decoder]}
    for half, parts in halves.items():
        noise = generator(seed, "weights", half)
        for part in parts:
            for _, module in layers(part):
                yield module, noise


def _fan_in(module: nn.Linear | nn.modules.conv._ConvNd) -> int:
    """How many inputs one output sums over."""
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        # weight: [in, out / groups, *kernel]; a stride of s leaves 1 tap in s to each output.
        taps = prod(module.kernel_size) / prod(module.stride)
        return max(1, round(module.in_channels / module.groups * taps))
    return module.weight[0].numel()
