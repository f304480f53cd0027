"""Dead and saturated units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from activae.activations import slope

DEAD_SLOPE = 1e-6
SATURATED_SHARE = 0.05  # of the largest slope
GRID = torch.arange(-80, 81) / 10  # holds 0 exactly, where sigmoids are steepest


@dataclass(frozen=True)
class LayerStatistics:
    """What one activation did with one batch of n samples.

    dead_fraction: share of units with |f'(z)| < 1e-6 for every sample: no gradient passes, so that
      nothing is learnt through them.
    saturated_fraction: share of (sample, unit) pairs with |f'(z)| < 5% of the largest |f'| on
      [-8, 8]. Where the slope grows without bound (x^2, x cos x) that counts the flat middle.
    outputs: all of f(z), flattened [n * units], on the activation's device.

    A unit is everything but the sample: a feature of a vector, a channel at one position of a map.
    Of an activation with several inputs for each of its own units every input counts as one, and
    the largest |f'| is that with all inputs alike.
    """

    dead_fraction: float
    saturated_fraction: float
    outputs: Tensor


def activation_statistics(
    activations: Mapping[str, nn.Module], forward: Callable[[], Any]
) -> dict[str, LayerStatistics]:
    """Run `forward()` once without gradients and describe each of the `activations`.

    `forward` sends a batch through the network that owns them, and calls each exactly once.
    """
    inputs, outputs = _record(activations, forward)
    fractions = []
    for name, activation in activations.items():
        slopes = slope(activation, inputs[name]).abs()
        peak = _largest_slope(activation, inputs[name])
        dead = (slopes < DEAD_SLOPE).all(0)
        saturated = slopes < SATURATED_SHARE * peak
        fractions.append(torch.stack([dead.float().mean(), saturated.float().mean()]))
    # One transfer for all layers: each waits for the device.
    numbers = torch.stack(fractions).tolist() if fractions else []
    return {
        name: LayerStatistics(dead, saturated, outputs[name].flatten())
        for name, (dead, saturated) in zip(activations, numbers, strict=True)
    }


def _record(
    activations: Mapping[str, nn.Module], forward: Callable[[], Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the input and the output [n, ...] of each activation during `forward()`."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def before(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            assert name not in inputs, f"{name} was called twice: layers own their activations"
            inputs[name] = args[0].detach().clone()  # an in-place activation overwrites it

        return keep

    def after(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = output.detach().clone()  # so may the layer that follows

        return keep

    with ExitStack() as hooks, torch.no_grad():
        for name, activation in activations.items():
            hooks.enter_context(activation.register_forward_pre_hook(before(name)))
            hooks.enter_context(activation.register_forward_hook(after(name)))
        forward()
    unused = set(activations) - set(outputs)
    assert not unused, f"forward() did not call {sorted(unused)}"
    return inputs, outputs


def _largest_slope(activation: nn.Module, z: Tensor) -> Tensor:
    """Return the largest |f'| on the grid for each unit of z [n, ...]: [...].

    For each, because learnable activations may have parameters by unit or channel.
    """
    grid = GRID.to(z).view(-1, *[1] * (z.ndim - 1)).expand(-1, *z.shape[1:])
    # A pole of f' (sqrt|x| at 0) would make all else look saturated.
    return slope(activation, grid).abs().nan_to_num(nan=0, posinf=0).amax(0)
