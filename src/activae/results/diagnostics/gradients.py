"""The size of the gradient, layer by layer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def gradient_norms(
    named_parameters: Iterable[tuple[str, nn.Parameter]], loss: Tensor
) -> dict[str, float]:
    """Return the L2 norm of d loss / d parameters for each layer, in definition order.

    A layer is its weight and bias together, named like them without the last part
    (`encoder.0.weight` -> `encoder.0`). Frozen parameters are left out, unused ones count as 0. No
    parameter's `.grad` is touched; the graph of the scalar `loss` is freed.
    """
    parameters = [(name, p) for name, p in named_parameters if p.requires_grad]
    if not parameters:
        return {}
    gradients = torch.autograd.grad(loss, [p for _, p in parameters], materialize_grads=True)
    # One transfer for all layers: each waits for the device.
    norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).tolist()
    layers: dict[str, list[float]] = defaultdict(list)
    for (name, _), norm in zip(parameters, norms, strict=True):
        layers[name.rpartition(".")[0] or name].append(norm)
    return {layer: math.hypot(*parts) for layer, parts in layers.items()}
