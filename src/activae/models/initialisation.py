"""Initial weights from an explicit generator, the same base noise whatever the activation."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod, sqrt

import torch
from torch import nn

from activae.activations import gain
from activae.models.network import Autoencoder, is_activation, is_weight_layer
from activae.randomness import generator


@torch.no_grad()
def fitted(net: Autoencoder, *, seed: int) -> None:
    """Weights ~ N(0, gain^2 / fan_in) and biases 0, in place.

    gain = 1 / sqrt(E[f(z)^2]), z ~ N(0, 1), for the activation f that the layer's inputs went through:
    it keeps pre-activations at unit variance (He et al. 2015 for ReLU; here by quadrature for any f).
    The data and linear codes count as f(z) = z.
    """
    noise = {half: generator(seed, "weights", half) for half in ("encoder", "decoder")}
    gains: dict[str, float] = {}
    feeding = 1.0
    for half, module in _in_order(net):
        if is_weight_layer(module):
            normal = torch.randn(module.weight.shape, generator=noise[half])
            module.weight.copy_(normal * (feeding / sqrt(_fan_in(module))))
            if module.bias is not None:
                module.bias.zero_()
            feeding = 1.0
        elif is_activation(module):
            key = repr(module)
            feeding = gains[key] = gains.get(key) or gain(module)


@torch.no_grad()
def torch_default(net: Autoencoder, *, seed: int) -> None:
    """Weights and biases ~ U(-1/sqrt(fan_in), 1/sqrt(fan_in)), in place: what torch's layers do themselves."""
    noise = {half: generator(seed, "weights", half) for half in ("encoder", "decoder")}
    for half, module in _in_order(net):
        if is_weight_layer(module):
            bound = 1 / sqrt(_torch_fan_in(module))
            for tensor in (module.weight, module.bias):
                if tensor is not None:
                    uniform = torch.rand(tensor.shape, generator=noise[half])
                    tensor.copy_((2 * uniform - 1) * bound)


def _in_order(net: Autoencoder) -> Iterator[tuple[str, nn.Module]]:
    """Every leaf that a sample meets up to the output layer, with the half whose noise it draws."""
    for half, part in (
        ("encoder", net.encoder),
        ("encoder", net.code_activation),
        ("decoder", net.decoder),
    ):
        for module in part.modules():
            yield half, module


def _fan_in(module: nn.Module) -> int:
    """How many inputs one output sums over."""
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        # weight: [in, out / groups, *kernel]; a stride of s leaves 1 tap in s to each output.
        taps = prod(module.kernel_size) / prod(module.stride)
        return max(1, round(module.in_channels / module.groups * taps))
    return module.weight[0].numel()


def _torch_fan_in(module: nn.Module) -> int:
    """torch counts weight.size(1) times the kernel, for transposed convolutions too."""
    return module.weight[0].numel()
