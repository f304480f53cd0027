"""Which parameters an optimizer is given, and with what: only weights decay."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import torch

from activae.errors import ConfigError
from activae.models import Autoencoder


def make_optimizer(
    factory: Callable[..., torch.optim.Optimizer], net: Autoencoder
) -> torch.optim.Optimizer:
    """The optimizer over the parameters that train, updating them all in one call where torch can.

    Biases and the parameters of learnable activations are given no weight decay. Raises ConfigError
    for what torch would refuse at the first step only.
    """
    _check(factory)
    decay = inspect.signature(factory).parameters.get("weight_decay")
    training = {name: p for name, p in net.named_parameters() if p.requires_grad}
    if decay is None or not decay.default:
        return factory(training.values(), **_fastest(factory))
    weights = {name: p for name, p in net.weights() if name in training}
    others = [p for name, p in training.items() if name not in weights]
    groups = [{"params": list(weights.values())}, {"params": others, "weight_decay": 0.0}]
    return factory(groups, **_fastest(factory))


def _check(factory: Callable[..., torch.optim.Optimizer]) -> None:
    """LBFGS checks none of its own parameters but lr."""
    kind, chosen = (
        (factory.func, factory.keywords) if isinstance(factory, partial) else (factory, {})
    )
    if kind is not torch.optim.LBFGS:
        return
    search = chosen.get("line_search_fn")
    if search not in (None, "strong_wolfe"):
        raise ConfigError(f"optimizer.line_search_fn={search}: must be strong_wolfe or null")
    for key in ("max_iter", "max_eval", "history_size"):
        value = chosen.get(key)
        if value is not None and value < 1:
            raise ConfigError(f"optimizer.{key}={value}: must be a whole number of 1 or more")


def _fastest(factory: Callable[..., torch.optim.Optimizer]) -> dict[str, bool]:
    """The single-call implementation, unless the config chose one itself."""
    chosen = factory.keywords if isinstance(factory, partial) else {}
    if "fused" in chosen or "foreach" in chosen:
        return {}
    known = inspect.signature(factory).parameters
    return next(({name: True} for name in ("fused", "foreach") if name in known), {})
