"""An activation of the user's own, by its dotted path."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from activae.activations.analysis import in_float64
from activae.config.dotted_path import resolve
from activae.errors import ConfigError

_KEY = "activation.function"


class Custom(nn.Module):
    """Any elementwise f, found by its dotted path: a callable, or a torch.nn.Module class.

    `kwargs` go to the callable with each call, or to the class once. A module object is copied, so
    that each layer has its own. f is tried on a few numbers at once; ConfigError, naming
    activation.function, says what is wrong with the path or with f: not callable, raises, changes
    the shape, is not elementwise, is not finite or has no finite gradient.

    Importing runs the module's code: take paths only from a config that may do so.
    """

    def __init__(self, function: str, kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.function = function
        self.kwargs = dict(kwargs or {})
        where = f"{_KEY}={function!r}"
        target = resolve(_KEY, function)
        if isinstance(target, type) and issubclass(target, nn.Module):
            self.target: Callable[..., Any] = _build(where, target, self.kwargs)
            self.call_kwargs: dict[str, Any] = {}
        elif callable(target):
            self.target = copy.deepcopy(target) if isinstance(target, nn.Module) else target
            self.call_kwargs = self.kwargs
        else:
            raise ConfigError(f"{where} is {target!r}, neither a function nor a module class.")
        if isinstance(target, torch.jit.ScriptFunction):
            raise ConfigError(
                f"{where} is a scripted function, which cannot be copied with a network; name the "
                "Python function that it was made from."
            )
        with torch.inference_mode(False), torch.enable_grad():
            _check(where, in_float64(self))
            _check_type(where, self.forward)

    def forward(self, x: Tensor) -> Tensor:
        """Return f(x), in the shape of x."""
        result: Tensor = self.target(x, **self.call_kwargs)
        return result

    def extra_repr(self) -> str:
        """Show the path and the parameters in the module's text."""
        return ", ".join([self.function, *(f"{key}={value}" for key, value in self.kwargs.items())])


def _build(where: str, kind: type[nn.Module], kwargs: Mapping[str, Any]) -> nn.Module:
    try:
        return kind(**kwargs)
    except Exception as error:  # whatever a user's class raises
        raise ConfigError(
            f"{where}: building it with {dict(kwargs)} raised {type(error).__name__}: {error}. "
            "Its parameters go into activation.kwargs."
        ) from error


def _check(where: str, function: Callable[[Tensor], Any]) -> None:
    """Raise ConfigError unless f is an elementwise, finite function that autograd can follow."""
    x = torch.linspace(-3.1, 2.9, 24, dtype=torch.float64, device="cpu").reshape(4, 6)
    given = x.clone()
    leaf = x.clone().requires_grad_()
    with torch.no_grad():
        _call(where, function, given)
    if not torch.equal(given, x):
        raise ConfigError(
            f"{where} writes into its input, which other parts of a network may need as it was; "
            "let it return a new tensor."
        )
    output = _call(where, function, leaf)
    if not isinstance(output, Tensor):
        raise ConfigError(f"{where} returns {type(output).__name__}, not a tensor.")
    if output.shape != x.shape:
        raise ConfigError(
            f"{where} turns shape {tuple(x.shape)} into {tuple(output.shape)}; "
            "an activation keeps the shape."
        )
    if not output.is_floating_point():
        raise ConfigError(f"{where} returns {output.dtype}, not floating-point numbers.")
    if not output.isfinite().all():
        raise ConfigError(
            f"{where} is not finite at x = {_first(x, ~output.isfinite())}; "
            "an activation meets inputs of either sign."
        )
    _check_gradient(where, leaf, output)
    _check_elementwise(where, function, x, output.detach())


def _check_type(where: str, function: Callable[[Tensor], Any]) -> None:
    """Raise ConfigError where numbers in single precision, the usual one, come out as others."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):  # one in training mode may draw
        returned = _call(where, function, torch.linspace(-3.1, 2.9, 24)).dtype
    if returned != torch.get_default_dtype():
        raise ConfigError(
            f"{where} turns {torch.get_default_dtype()} into {returned}; an activation keeps the "
            "type of its input, in which the network's weights are."
        )


def _check_gradient(where: str, x: Tensor, output: Tensor) -> None:
    """Raise ConfigError unless autograd leads from the output to x, with finite numbers."""
    gradient = None
    if output.requires_grad:
        (gradient,) = torch.autograd.grad(output.sum(), x, allow_unused=True)
    if gradient is None:
        raise ConfigError(
            f"{where} lets no gradient through: write it in torch functions of its input, "
            "without detach or numpy."
        )
    if not gradient.isfinite().all():
        raise ConfigError(
            f"{where} has a gradient that is not finite at x = {_first(x, ~gradient.isfinite())}. "
            "Where torch.where leaves a branch out, that branch's gradient must be finite too."
        )


def _first(x: Tensor, chosen: Tensor) -> str:
    return f"{float(x.detach()[chosen][0]):.3g}"


def _check_elementwise(
    where: str, function: Callable[[Tensor], Any], x: Tensor, output: Tensor
) -> None:
    """Raise ConfigError unless f of an element is the same again, elsewhere, and without others."""
    if not torch.allclose(_call(where, function, x.clone()), output):
        raise ConfigError(
            f"{where} gives other values for the same input when called again. If it draws random "
            "numbers, make it a torch.nn.Module that does so in training mode only."
        )
    mixed = torch.randperm(x.numel(), generator=torch.Generator("cpu").manual_seed(0), device="cpu")
    elsewhere = _call(where, function, x.flatten()[mixed].reshape(x.shape)).flatten()
    alone = _call(where, function, x[1:2, 2:3].clone())
    moved_alike = torch.allclose(elsewhere, output.flatten()[mixed])
    if not (moved_alike and torch.allclose(alone, output[1:2, 2:3])):
        raise ConfigError(
            f"{where} is not elementwise: what it makes of a number depends on the other numbers "
            "in the tensor (as softmax or a layer norm does). An activation maps each by itself."
        )


def _call(where: str, function: Callable[[Tensor], Any], x: Tensor) -> Any:
    try:
        return function(x)
    except Exception as error:  # whatever a user's function raises
        raise ConfigError(
            f"{where} raised {type(error).__name__} on a tensor: {error}. It is called with one "
            "tensor, and the parameters in activation.kwargs."
        ) from error
