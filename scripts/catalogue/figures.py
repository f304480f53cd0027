"""The figures of an activation, of one input a unit or of several."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from activae.activations import gain, is_elementwise, moments, output_range


@dataclass(frozen=True)
class Figures:
    """gain, chi_1, s (see `activae.activations.Moments`), the output's range, parameters a layer.

    None is what is not defined where a unit has several inputs or outputs.
    """

    gain: float
    chi_1: float | None
    s: float | None
    low: float | None
    high: float | None
    parameters: int


def figures_of(activation: nn.Module) -> Figures:
    """Return the figures at the present parameters. Raises ConfigError where f has no gain."""
    parameters = sum(parameter.numel() for parameter in activation.parameters())
    if not is_elementwise(activation):
        return Figures(gain(activation), None, None, None, None, parameters)
    of_f = moments(activation)
    low, high = output_range(activation)
    return Figures(of_f.gain, of_f.chi_1, of_f.s, low, high, parameters)
