"""What a step minimises: a reconstruction loss with the penalties on weights and code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.batch import Batch, parts_of
from activae.objectives.losses import Demand, demand_of
from activae.objectives.regularisers import Regulariser

ReconstructionLoss = Callable[[Autoencoder, Tensor], Tensor]
# (autoencoder, batch) -> named scalar terms: an Objective, a Regularised, or the user's own. The
# batch is samples, or for a Regularised a mapping with what the step draws for them.
AnyObjective = Callable[[Autoencoder, Any], dict[str, Tensor]]


class Objective:
    """(autoencoder, x [B, *shape]) -> named scalar terms; their sum is minimised.

    `l1` adds l1 * sum |w|, `l2` adds l2 * sum w^2 over all weights, not over biases or the
    parameters of activations. Raises ConfigError where one of them is negative.
    """

    def __init__(self, reconstruction: ReconstructionLoss, *, l1: float, l2: float) -> None:
        for key, value in (("l1", l1), ("l2", l2)):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"objective.{key}={value}: must be 0 or a positive number")
        self.reconstruction = reconstruction
        self.l1 = l1
        self.l2 = l2

    @property
    def demand(self) -> Demand:
        """What the reconstruction loss asks of the data and of the network."""
        return demand_of(self.reconstruction)

    @property
    def strengths(self) -> tuple[float, float]:
        """The numbers that a call may replace: l1 and l2."""
        return self.l1, self.l2

    def __call__(
        self, net: Autoencoder, x: Tensor, strengths: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Every term of the loss of x [B, *shape]; penalties of weight 0 are left out.

        `strengths` [2], where given, replace the values of l1 and l2.
        """
        l1, l2 = (self.l1, self.l2) if strengths is None else strengths.unbind()
        terms = {"reconstruction": self.reconstruction(net, x)}
        if self.l1:
            sizes = [weight.abs().sum() for _, weight in net.weights()]
            terms["l1"] = l1 * torch.stack(sizes).sum()
        if self.l2:
            squares = [weight.square().sum() for _, weight in net.weights()]
            terms["l2"] = l2 * torch.stack(squares).sum()
        return terms


class Regularised:
    """(autoencoder, batch) -> the terms of `objective`, and those of the regularisers by name.

    The batch is samples [B, *shape], or a mapping with what the step draws for them: see
    `activae.objectives.batch`. Regularisers of weight 0 are left out.
    """

    def __init__(self, objective: AnyObjective, regularisers: Mapping[str, Regulariser]) -> None:
        self.objective = objective
        self.regularisers = {name: r for name, r in regularisers.items() if r.weight}

    @property
    def strengths(self) -> tuple[float, ...]:
        """The numbers that a call may replace: the objective's, then the regularisers' weights."""
        weights = tuple(regulariser.weight for regulariser in self.regularisers.values())
        return strengths_of(self.objective) + weights

    def __call__(
        self, net: Autoencoder, batch: Batch, strengths: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Every term of the batch's loss.

        `strengths`, where given, replace those of the property of this name: all of them, or the
        regularisers' alone.
        """
        x, seen, probes = parts_of(batch)
        view = net if seen is None else cast(Autoencoder, _Seeing(net, seen))
        given: tuple[Any, ...] = self.strengths if strengths is None else strengths.unbind()
        own = len(given) - len(self.regularisers)
        # The user's own objective takes no strengths.
        terms = (
            self.objective(view, x, strengths[:own])  # type: ignore[call-arg]
            if strengths is not None and own
            else self.objective(view, x)
        )
        drawn = 0
        for (name, regulariser), weight in zip(self.regularisers.items(), given[own:], strict=True):
            mine = None
            if regulariser.probes:
                assert probes is not None
                mine = probes[drawn : drawn + regulariser.probes]
                drawn += regulariser.probes
            terms[name] = weight * regulariser(net, x if seen is None else seen, mine)
        return terms


class _Seeing:
    """An autoencoder that sees other samples than those it is called with."""

    def __init__(self, net: Autoencoder, seen: Tensor) -> None:
        self.net = net
        self.seen = seen

    def __call__(self, x: Tensor) -> Tensor:
        return self.net(self.seen)

    def encode(self, x: Tensor) -> Tensor:
        return self.net.encode(self.seen)

    def logits(self, x: Tensor) -> Tensor:
        return self.net.logits(self.seen)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)


def strengths_of(objective: AnyObjective) -> tuple[float, ...]:
    """The numbers that a call of the objective may replace; none for the user's own."""
    if isinstance(objective, (Objective, Regularised)):
        return objective.strengths
    return ()


def total(terms: dict[str, Tensor]) -> Tensor:
    """The sum of an objective's terms, which is what is minimised."""
    first, *others = terms.values()
    for term in others:
        first = first + term
    return first
