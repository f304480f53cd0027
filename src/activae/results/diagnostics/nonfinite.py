"""Where NaN and infinity first appear."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn


def first_nonfinite(module: nn.Module, forward: Callable[[], Any]) -> str | None:
    """Run `forward()` without gradients; name the first submodule whose output is not finite.

    First to finish, so that a layer is named before the modules that contain it, and a container
    only where it did the damage itself. A module without a name (`module` itself) goes by its
    class. None where all outputs are finite; put a batch in that is finite.
    """
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def check(layer: nn.Module, _: Any, output: Any) -> None:
            if not found and not _is_finite(output):
                found.append(name or type(layer).__name__)

        return check

    with ExitStack() as hooks, torch.no_grad():
        for name, layer in module.named_modules():
            hooks.enter_context(layer.register_forward_hook(watch(name)))
        forward()
    return found[0] if found else None


def first_nonfinite_parameter(named_parameters: Iterable[tuple[str, nn.Parameter]]) -> str | None:
    """Name the first parameter, in definition order, with a value or gradient that is not finite.

    `encoder.0.weight` for its value, `encoder.0.weight.grad` for its gradient; None where all are
    finite. Parameters without a gradient count by their value alone.
    """
    for name, parameter in named_parameters:
        if not _is_finite(parameter):
            return name
        if parameter.grad is not None and not _is_finite(parameter.grad):
            return f"{name}.grad"
    return None


def _is_finite(output: Any) -> bool:
    """Whether a tensor, or each tensor of a tuple or list, is finite; anything else is."""
    if isinstance(output, (tuple, list)):
        return all(_is_finite(part) for part in output)
    return not isinstance(output, Tensor) or bool(output.isfinite().all())
