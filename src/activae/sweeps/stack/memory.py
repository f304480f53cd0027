"""How many members a device's memory holds."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from activae.training.module import AutoencoderModule

# Left to the samples' batches, temporaries of the update, and what the allocator cannot use.
SHARE_TO_FILL = 0.7


def memory_per_member(model: AutoencoderModule, batch_size: int) -> int:
    """Bytes that each member of a stack takes on the device, estimated.

    With p values in the parameters, s tensors of that size in the optimizer's state (2 for Adam),
    and a values in the outputs of all layers for one sample, it is

        (p (1 + 2 + 1) + p s + p (1 + s + 1) + 2 a batch_size) * bytes per value:

    parameters, gradients (by layer, and as one) and a temporary of the update; the state; the last
    and the best snapshot; activations and their gradients. The data, shared by all, come on top.
    """
    parameters = list(model.net.parameters())
    values = sum(p.numel() for p in parameters)
    states = _state_tensors(model)
    activations = 2 * batch_size * _values_per_sample(model)
    size = parameters[0].element_size()
    return size * (values * (6 + 2 * states) + activations)


def members_that_fit(free_bytes: int, model: AutoencoderModule, batch_size: int) -> int:
    """How many members of the model's kind so many bytes hold, at least 1."""
    return max(1, int(SHARE_TO_FILL * free_bytes) // memory_per_member(model, batch_size))


def _state_tensors(model: AutoencoderModule) -> int:
    """How many tensors the optimizer keeps for a parameter, seen from one step on a single one."""
    own: Any = model.current_optimizer()
    probe = nn.Parameter(torch.zeros(2))
    probe.grad = torch.zeros(2)
    optimizer = type(own)([probe])
    hyper = {key: value for key, value in own.param_groups[0].items() if key != "params"}
    optimizer.param_groups[0].update(hyper | {"fused": None})
    optimizer.step()
    kept = optimizer.state[probe].values()
    return sum(isinstance(value, Tensor) and value.shape == probe.shape for value in kept)


@torch.no_grad()
def _values_per_sample(model: AutoencoderModule) -> int:
    """Values in a sample and in the outputs of all layers, those without layers in them."""
    net = model.net
    sample = next(net.parameters()).new_zeros(1, *net.shape)
    counted = [sample.numel()]

    def count(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            counted.append(output.numel())

    with ExitStack() as hooks:
        for module in net.modules():
            if not list(module.children()):
                hooks.enter_context(module.register_forward_hook(count))
        net.eval()(sample)
        net.train()
    return sum(counted)
