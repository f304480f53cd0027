"""How many values an activation takes and gives for each unit of a hidden layer."""

from __future__ import annotations

from torch import nn


def values_per_unit(activation: nn.Module) -> tuple[int, int]:
    """Inputs and outputs for each unit: (1, 1) of all that is elementwise.

    An activation that is not says so by its attributes `inputs_per_unit` (2 of the gated ones, k of
    maxout) and `outputs_per_unit` (2 of crelu), whole numbers of 1 or more. It acts along dimension
    1 of [B, D] and [B, C, H, W], and layers that it follows or feeds are sized accordingly.
    """
    inputs = getattr(activation, "inputs_per_unit", 1)
    outputs = getattr(activation, "outputs_per_unit", 1)
    assert isinstance(inputs, int), f"{activation}: inputs_per_unit={inputs!r}"
    assert isinstance(outputs, int), f"{activation}: outputs_per_unit={outputs!r}"
    assert min(inputs, outputs) >= 1, f"{activation}: at least one value for each unit"
    return inputs, outputs


def is_elementwise(activation: nn.Module) -> bool:
    """Whether it takes and gives one value for each unit."""
    return values_per_unit(activation) == (1, 1)
