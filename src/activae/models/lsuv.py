"""Layer-sequential unit-variance initialisation, which looks at data."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from activae.errors import ConfigError
from activae.models.autoencoder import Autoencoder, is_weight_layer
from activae.models.initialisation import in_order


@torch.no_grad()
def lsuv(net: Autoencoder, *, seed: int, samples: Tensor) -> None:
    """Orthogonal weights, scaled layer by layer to outputs of variance 1; biases 0; in place.

    samples: real training data [B, *shape] in the network's own dtype and on its device, the same
    for all activations of a seed. The variance is that of all a layer's outputs for them, taken in
    evaluation mode (Mishkin & Matas 2016; without biases a layer is linear in its weights, so that
    one division does what the paper iterates). A rule that an activation brings along is not asked:
    siren, whose weights are to be smaller, is better off with init=fitted. Raises ConfigError where
    a layer puts out the same number for all of them, or none that is finite.
    """
    for module, noise in chain(*in_order(net, seed)):
        if is_weight_layer(module):
            nn.init.orthogonal_(module.weight, generator=noise)
            if module.bias is not None:
                module.bias.zero_()
    net.eval()
    with ExitStack() as hooks:
        for name, module in net.named_modules():
            if is_weight_layer(module):
                hooks.enter_context(module.register_forward_hook(_rescaling(name)))
        net(samples)
    net.train()


def _rescaling(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """A hook that gives the layer's output unit variance, and so does to its weights.

    What follows sees the output rescaled, so that one pass does for all layers.
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
