"""Which parameters an optimizer is given, and with what: only weights decay."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from activae.config.wording import is_positive
from activae.errors import ConfigError
from activae.models import Autoencoder

CLIP_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


@dataclass(frozen=True)
class Clipping:
    """Keeps gradients within a limit: their norm, or by value each of their numbers."""

    limit: float
    by_value: bool = False

    def of(self, gradient: Tensor) -> Tensor:
        """Flat gradients [..., P], clipped along the last dimension."""
        if self.by_value:
            return gradient.clamp(-self.limit, self.limit)
        norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
        return gradient * (self.limit / (norm + CLIP_EPSILON)).clamp(max=1.0)

    def apply(self, parameters: list[nn.Parameter]) -> None:
        """Clip the gradients that parameters hold, which have one norm together."""
        if self.by_value:
            nn.utils.clip_grad_value_(parameters, self.limit)
        else:
            nn.utils.clip_grad_norm_(parameters, self.limit)


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


def learning_rate(factory: Callable[..., torch.optim.Optimizer]) -> float:
    """The lr that a factory gives its optimizers."""
    rate: float = factory([nn.Parameter(torch.zeros(1, 1))]).param_groups[0]["lr"]
    return rate


def with_learning_rate(
    factory: Callable[..., torch.optim.Optimizer], lr: float
) -> Callable[..., torch.optim.Optimizer]:
    """What makes the same optimizers with another lr. Raises ConfigError where that cannot be."""
    if not is_positive(lr):
        raise ConfigError(f"lr={lr!r}: must be a number greater than 0, such as 1e-3")
    known = inspect.signature(factory).parameters.values()
    if not any(p.name == "lr" or p.kind is p.VAR_KEYWORD for p in known):
        raise ConfigError(
            f"lr={lr}: the optimizer takes no lr; give one that does, such as torch.optim.SGD, or "
            "partial(torch.optim.SGD, momentum=0.9)"
        )
    return partial(factory, lr=lr)


def check_state(optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError where the state that an optimizer was given could not be its own.

    Each parameter's must be what one step of the optimizer makes of it: by the same names, tensors
    of its shape and single numbers. The few flat tensors of LBFGS must be as long as all parameters
    together. What cannot be tried on a parameter of its own is taken as it is.
    """
    for group in optimizer.param_groups:
        if isinstance(optimizer, torch.optim.LBFGS):
            size = sum(p.numel() for p in group["params"])
            for tensor in _tensors(list(optimizer.state.values())):
                if tensor.ndim and tensor.shape != (size,):
                    raise ValueError(f"the optimizer's state has shape {tuple(tensor.shape)}")
            continue
        kinds = _kinds_of_state(optimizer, group)
        for parameter in group["params"]:
            if optimizer.state.get(parameter):
                _check_one(optimizer.state[parameter], parameter, kinds)


def _check_one(state: dict[str, Any], parameter: Tensor, kinds: dict[str, str]) -> None:
    shape = tuple(parameter.shape)
    for name, kind in kinds.items():
        value = state.get(name)
        found = tuple(value.shape) if isinstance(value, Tensor) else value
        fits = {
            "like the parameter": found == shape,
            "a number": found == () or (isinstance(found, (int, float))),
        }
        if not fits[kind]:
            raise ValueError(
                f"the optimizer's {name} of a parameter of shape {shape} is {found}, not {kind}"
            )


_PROBE = (2, 3)


def _kinds_of_state(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> dict[str, str]:
    """What a step of such an optimizer leaves of a parameter, of the names of a known kind."""
    probe = torch.nn.Parameter(torch.zeros(_PROBE))
    probe.grad = torch.zeros(_PROBE)
    try:
        make: Any = type(optimizer)
        fresh = make([probe], lr=1.0)
        options = {key: value for key, value in group.items() if key not in ("params", "lr")}
        fresh.param_groups[0].update(options)
        with torch.random.fork_rng(devices=[]):
            fresh.step()
    except Exception:  # one of the user's own may take more than parameters and lr
        return {}
    kinds = {}
    for name, value in fresh.state.get(probe, {}).items():
        if isinstance(value, Tensor) and value.shape == _PROBE:
            kinds[name] = "like the parameter"
        elif isinstance(value, (int, float)) or (isinstance(value, Tensor) and not value.ndim):
            kinds[name] = "a number"
    return kinds


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (dict, list, tuple)):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(inner)


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
