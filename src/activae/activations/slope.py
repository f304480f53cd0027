"""The derivative of any activation, to measure dead and saturated units by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from activae.activations.evaluation import Function


def slope(activation: Function, z: Tensor) -> Tensor:
    """Return f'(z), elementwise and detached, in z's shape, dtype and device.

    Where a unit has several inputs or outputs, that of their sum by each input: a gate that is shut
    and a piece of a maxout that another exceeds have slope 0.
    Taken by autograd in evaluation mode (a random slope is its mean), also inside `no_grad` and
    `inference_mode`. The module's mode and the `.grad` of its parameters stay as they are; its
    forward hooks are not called, so that one of them may call this.
    """
    function = activation.forward if isinstance(activation, nn.Module) else activation
    with torch.inference_mode(False), torch.enable_grad(), _evaluation_mode(activation):
        leaf = z.detach().clone().requires_grad_()
        # An in-place activation may not write on a leaf, hence the second copy.
        output = function(leaf.clone())
        (derivative,) = torch.autograd.grad(output, leaf, torch.ones_like(output))
    return derivative


@contextmanager
def _evaluation_mode(activation: Function) -> Iterator[None]:
    """Put a module and all within it into evaluation mode; restore each one's mode after."""
    modules = list(activation.modules()) if isinstance(activation, nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
