"""Which parameters an optimizer is given, and with what: only weights decay."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from activae.models import Autoencoder


def make_optimizer(
    factory: Callable[..., torch.optim.Optimizer], net: Autoencoder
) -> torch.optim.Optimizer:
    """The optimizer over the network's parameters, updating them all in one call where torch can.

    Biases and the parameters of learnable activations are given no weight decay.
    """
    weights = dict(net.weights())
    others = [p for name, p in net.named_parameters() if name not in weights]
    if not _keywords(factory).get("weight_decay"):
        groups: list[dict[str, Any]] = [{"params": list(net.parameters())}]
    else:
        groups = [{"params": list(weights.values())}]
        groups += [{"params": others, "weight_decay": 0.0}] if others else []
    return factory(groups, **_fastest(factory))


def _fastest(factory: Callable[..., torch.optim.Optimizer]) -> dict[str, bool]:
    """The single-call implementation, unless the config chose one itself."""
    known = inspect.signature(factory).parameters
    chosen = _keywords(factory)
    for name in ("fused", "foreach"):
        if name in known and not {"fused", "foreach"} & chosen.keys():
            return {name: True}
    return {}


def _keywords(factory: Callable[..., Any]) -> dict[str, Any]:
    return factory.keywords if isinstance(factory, partial) else {}
