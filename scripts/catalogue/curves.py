"""The curves that a picture of an activation shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from activae.activations import slope, values_per_unit
from activae.activations.analysis import FloatArray, in_float64

LEFT, RIGHT = -4, 4
SECTIONS = (-1.0, 0.5, 2.0)  # of the inputs but the last, where a unit has several
_COARSE, _FINE = 0.05, 0.01  # both have the kinks of torch's activations on their grid
_SIDE = 1e-7  # how far from a grid point its limits to the left and right are taken


@dataclass(frozen=True)
class Curve:
    """A function on [LEFT, RIGHT] as unbroken pieces, each x and y of its points."""

    label: str
    pieces: tuple[tuple[FloatArray, FloatArray], ...]


def curves_of(activation: nn.Module) -> list[Curve]:
    """Return f and f', or sections through f where a unit has several inputs or outputs."""
    function = in_float64(activation)
    inputs, outputs = values_per_unit(activation)
    if (inputs, outputs) == (1, 1):
        return [
            _curve("f", function),
            _curve("f ′", lambda x: slope(function, x), step=_step(function)),
        ]
    sections = []
    for fixed in SECTIONS if inputs > 1 else (0.0,):
        for place in range(outputs):
            number = f"f{place + 1}" if outputs > 1 else "f"
            held = ", ".join([f"{fixed:g}".replace("-", "−")] * (inputs - 1))
            label = f"{number}({held}, x)" if inputs > 1 else number
            sections.append(_curve(label, _section(function, inputs, fixed, place)))
    return sections


def _section(
    function: Callable[[Tensor], Tensor], inputs: int, fixed: float, place: int
) -> Callable[[Tensor], Tensor]:
    """One output as a function of the last input, a gate's, where all others are `fixed`."""

    def along(x: Tensor) -> Tensor:
        others = torch.full((len(x), inputs - 1), fixed, dtype=x.dtype)
        return function(torch.cat([others, x[:, None]], dim=1))[:, place]

    return along


def _curve(label: str, function: Callable[[Tensor], Tensor], step: float | None = None) -> Curve:
    """Sample a function at the limits on both sides of grid points; break it where they differ."""
    grid = _grid(step or _step(function))
    before, after = _values(function, grid - _SIDE), _values(function, grid + _SIDE)
    jumps = np.flatnonzero(np.abs(after - before) > 1e-3)
    ends = np.unique([0, *jumps, len(grid) - 1])
    pieces = []
    for start, end in pairwise(ends):
        y = before[start : end + 1].copy()
        y[0] = after[start]
        pieces.append((grid[start : end + 1], y))
    return Curve(label, tuple(pieces))


def _grid(step: float) -> FloatArray:
    cells = round((RIGHT - LEFT) / step)
    return np.linspace(LEFT, RIGHT, cells + 1)


def _step(function: Callable[[Tensor], Tensor]) -> float:
    """The coarse step, unless f bends so much that straight lines between its points would show."""
    y = _values(function, _grid(_COARSE / 2))
    sag = np.abs(y[1:-1:2] - (y[:-2:2] + y[2::2]) / 2)
    # A single corner or jump off the grid is no reason.
    return _FINE if np.median(sag) > 0.01 else _COARSE


def _values(function: Callable[[Tensor], Tensor], x: FloatArray) -> FloatArray:
    with torch.no_grad():
        return function(torch.from_numpy(x.copy())).detach().numpy()
