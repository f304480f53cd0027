"""What an activation costs: forward and backward, beside ReLU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from time import perf_counter

import torch
from torch import Tensor, nn

from activae.activations import values_per_unit
from activae.activations.analysis import threads

ROWS, UNITS = 256, 256  # 256 KiB: what a hidden layer holds, and a core's own cache
_RELU = ""  # no option has this name


@dataclass(frozen=True)
class Cost:
    """Nanoseconds for an element (an output, of a unit with several inputs), and ReLUs' worth."""

    nanoseconds: float
    relus: float


def costs(
    activations: Mapping[str, nn.Module],
    rounds: int,
    tell: Callable[[str], None] = lambda message: None,
) -> dict[str, Cost]:
    """Time one pass forward and backward, uncompiled, on one thread, in float32, training mode.

    Each round times a pass through ReLU and through every activation in turn. What counts is the
    fastest of the rounds: other work on the machine only adds, and more to a long pass than to a
    short one, so that medians would depend on the load.
    """
    passes = {_RELU: _pass(nn.ReLU())} | {name: _pass(f) for name, f in activations.items()}
    fastest = dict.fromkeys(passes, inf)
    with threads(1):
        for number in range(rounds):
            tell(f"times activations: round {number + 1} of {rounds}")
            for name, run in passes.items():
                fastest[name] = min(fastest[name], _time(run))
    relu = fastest.pop(_RELU)
    return {
        name: Cost(seconds / (ROWS * UNITS) * 1e9, seconds / relu)
        for name, seconds in fastest.items()
    }


def _pass(activation: nn.Module) -> Callable[[], object]:
    """Return a function that goes through the activation forward and backward once."""
    noise = torch.Generator().manual_seed(0)
    inputs, _ = values_per_unit(activation)
    x = torch.randn(ROWS, UNITS * inputs, generator=noise).requires_grad_()
    leaves: list[Tensor] = [x, *activation.parameters()]
    ones = torch.ones_like(activation(x))

    def run() -> object:
        return torch.autograd.grad(activation(x), leaves, ones)

    return run


def _time(run: Callable[[], object]) -> float:
    run()  # brings its tensors back into the cache, from which the one before drove them
    start = perf_counter()
    run()
    return perf_counter() - start
