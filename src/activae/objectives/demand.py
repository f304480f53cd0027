"""What a reconstruction loss asks of the data and of the network that it is to train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, TypeVar

from torch import nn

Loss = TypeVar("Loss", bound=Callable[..., Any])


@dataclass(frozen=True)
class Demand:
    """Stands beside the loss, as `@demands(...)`; a loss without one takes any data and output.

    Attributes:
        output: makes the last step of the network for a sample's shape, the only one that the loss
            goes with; None: any output activation.
        takes_output_for: what the loss takes the output for, in words.
        outputs: values that the decoder gives for each feature.
        reads: makes the module through which samples go to the encoder; None: as they are.
        least, most: the interval that the data must lie in.
        counts: whether the data must be whole numbers.
        normalisation: the `data.normalisation` that makes ordinary data so.
    """

    output: Callable[[Sequence[int]], nn.Module] | None = None
    takes_output_for: str = ""
    outputs: int = 1
    reads: Callable[[], nn.Module] | None = None
    least: float = -inf
    most: float = inf
    counts: bool = False
    normalisation: str = ""


def demands(**asked: Any) -> Callable[[Loss], Loss]:
    """Declare what a loss demands: the fields of `Demand` by name."""

    def declared(loss: Loss) -> Loss:
        loss.demand = Demand(**asked)  # type: ignore[attr-defined]
        return loss

    return declared


def demand_of(loss: Callable[..., Any]) -> Demand:
    """What a loss, or a partial of one, has declared."""
    return getattr(plain(loss), "demand", Demand())


def plain(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a partial is of."""
    return loss.func if isinstance(loss, partial) else loss
