"""What an objective may declare, so that a step with it stays a pure function.

The least is a callable (autoencoder, batch) -> named scalar terms, whose sum is minimised. What it
needs beyond samples and parameters is declared by attributes, each of them optional:

strengths: the numbers that differ between runs or from step to step, see `Strength`. A call is
    given them as a third argument, a tensor [S].
draw: the random numbers of a step, see `Draw`. The batch is then a mapping, with them as `drawn`.
player: somebody else who trains in turn with the autoencoder, see `Player`.

Regularisers and a network's latent (`activae.models.latent`) may declare the first two as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from activae.models import Autoencoder

Terms = dict[str, Tensor]
Objective = Callable[..., Terms]
# The weight of a term; one that depends on the step (from 0) is a function of it.
Strength = float | Callable[[int], float]
# (samples [B, *shape], code_dim, generator of the CPU) -> random numbers [B, ...].
Draw = Callable[[Tensor, int, torch.Generator], Tensor]


@dataclass
class Player:
    """A module that takes a step of its own before each of the autoencoder's, such as a critic.

    loss: (module, autoencoder, batch) -> scalar that it minimises; the autoencoder stands still.
    optimizer: (parameters) -> the optimizer of the module's parameters.
    """

    module: nn.Module
    loss: Callable[[nn.Module, Autoencoder, Any], Tensor]
    optimizer: Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]


def strengths_of(objective: Any) -> tuple[Strength, ...]:
    """The strengths that an objective declares."""
    return tuple(getattr(objective, "strengths", ()))


def at_step(strength: Strength, step: int) -> float:
    """A strength at a step, counted from 0."""
    return strength(step) if callable(strength) else strength


def strengths_at(objective: Any, step: int) -> list[float]:
    """The strengths of an objective at a step, counted from 0."""
    return [at_step(strength, step) for strength in strengths_of(objective)]


def varies(objective: Any) -> bool:
    """Whether any strength depends on the step."""
    return any(map(callable, strengths_of(objective)))


def draw_of(declaring: Any) -> Draw | None:
    """What draws its random numbers, if it needs any."""
    return cast("Draw | None", getattr(declaring, "draw", None))


def player_of(objective: Any) -> Player | None:
    """Who plays with the autoencoder, if anybody."""
    return cast("Player | None", getattr(objective, "player", None))


def evaluated(
    objective: Objective, net: Autoencoder, batch: Any, strengths: Tensor | None = None
) -> tuple[Terms, Mapping[str, Tensor]]:
    """The terms, and new values of the buffers of the network that the step updates, by name.

    `strengths` [S] are left out where the objective declares none.
    """
    given = () if strengths is None or not strengths_of(objective) else (strengths,)
    if hasattr(objective, "with_updates"):
        return cast(
            "tuple[Terms, Mapping[str, Tensor]]", objective.with_updates(net, batch, *given)
        )
    return objective(net, batch, *given), {}


def total(terms: Terms) -> Tensor:
    """The sum of an objective's terms, which is what is minimised."""
    values = iter(terms.values())
    loss = next(values)
    for value in values:
        loss = loss + value
    return loss
