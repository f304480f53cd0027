"""What a step minimises: a reconstruction loss with the penalties on weights and code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.batch import Batch, samples_of
from activae.objectives.declared import (
    Draw,
    Player,
    Strength,
    Terms,
    draw_of,
    player_of,
    strengths_of,
)
from activae.objectives.declared import Objective as AnyObjective
from activae.objectives.losses import Demand, demand_of
from activae.objectives.regularisers import Regulariser
from activae.objectives.seen import Encoded, Seeing

ReconstructionLoss = Callable[[Autoencoder, Tensor], Tensor]


class Objective:
    """(autoencoder, x [B, *shape]) -> named scalar terms; their sum is minimised.

    `l1` adds l1 * sum |w|, `l2` adds l2 * sum w^2 over all weights, not over biases or the
    parameters of activations. Raises ConfigError where one of them is negative.
    """

    def __init__(
        self, reconstruction: ReconstructionLoss, *, l1: float = 0.0, l2: float = 0.0
    ) -> None:
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


def of_batch(objective: object) -> list[str]:
    """The names of the regularisers that are figures of a whole batch, not means of samples."""
    if not isinstance(objective, Regularised):
        return []
    return [name for name, penalty in objective.regularisers.items() if penalty.of_batch]


class Regularised:
    """(autoencoder, batch) -> the terms of `objective`, of the network's latent, of regularisers.

    The batch is samples [B, *shape], or a mapping with what the step draws for them: see
    `activae.objectives.batch`. Regularisers whose weight is 0 are left out. Those that depend on
    the step have to be given, as `strengths`. Raises ConfigError for one that the objective holds
    already: it would count twice.
    """

    def __init__(
        self,
        objective: AnyObjective,
        regularisers: Mapping[str, Regulariser],
        latent_weight: Strength | None = None,
    ) -> None:
        self.objective = objective
        self.regularisers = {name: r for name, r in regularisers.items() if r.weight}
        self.latent_weight = latent_weight
        for name, why in getattr(objective, "holds", {}).items():
            if name in self.regularisers:
                raise ConfigError(f"regulariser={name}: {why}; leave regulariser={name} out")

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """The objective's, then the weights of the latent's terms and of the regularisers."""
        latent = () if self.latent_weight is None else (self.latent_weight,)
        weights = tuple(regulariser.weight for regulariser in self.regularisers.values())
        return strengths_of(self.objective) + latent + weights

    @property
    def player(self) -> Player | None:
        """The objective's, or else a regulariser's."""
        playing = [self.objective, *self.regularisers.values()]
        return next(filter(None, map(player_of, playing)), None)

    def __call__(self, net: Autoencoder, batch: Batch, strengths: Tensor | None = None) -> Terms:
        """Every term of the batch's loss; `strengths` [S] stand in for the declared ones."""
        return self.with_updates(net, batch, strengths)[0]

    def with_updates(
        self, net: Autoencoder, batch: Batch, strengths: Tensor | None = None
    ) -> tuple[Terms, dict[str, Tensor]]:
        """The terms, and the new values of the latent's buffers by their names in the network."""
        x = samples_of(batch)
        drawn: Mapping[str, Tensor] = {} if isinstance(batch, Tensor) else batch
        seen = drawn.get("seen", x)
        own = len(strengths_of(self.objective))
        given: Sequence[Any] = self.strengths if strengths is None else strengths.unbind()
        view = net
        terms: Terms = {}
        updates: dict[str, Tensor] = {}
        shown = net  # to regularisers
        if net.latent is not None:
            encoded = net.encoded(seen)
            code, found, updates = net.latent(encoded, drawn.get("latent"))
            values = x[0].numel()  # the terms are sums over the code, a reconstruction's is a mean
            terms = {name: given[own] * (term / values) for name, term in found.items()}
            view = shown = cast(Autoencoder, Encoded(net, x, seen, encoded, code))
        elif seen is not x:
            view = cast(Autoencoder, Seeing(net, seen))
        inner = {"x": x, "drawn": drawn["objective"]} if "objective" in drawn else x
        numbers = (strengths[:own],) if strengths is not None and own else ()
        terms = self.objective(view, inner, *numbers) | terms
        weights = given[len(given) - len(self.regularisers) :]
        for (name, regulariser), weight in zip(self.regularisers.items(), weights, strict=True):
            terms[name] = weight * regulariser(shown, seen, drawn.get(name))
        return terms, {f"latent.{name}": value for name, value in updates.items()}


def with_declared(
    objective: AnyObjective,
    net: Autoencoder,
    regularisers: Mapping[str, Regulariser],
    corrupted: bool,
) -> AnyObjective:
    """The objective with all that joins it, itself where nothing does."""
    if not (regularisers or corrupted or net.latent is not None or draw_of(objective)):
        return objective
    return Regularised(objective, regularisers, None if net.latent is None else net.latent.weight)


def draws_of(
    objective: AnyObjective, net: Autoencoder, regularisers: Mapping[str, Regulariser]
) -> dict[str, Draw]:
    """The random numbers that a step needs, by the name that a batch has them under."""
    declaring = {"objective": objective, "latent": net.latent, **regularisers}
    found = {name: draw_of(each) for name, each in declaring.items()}
    return {name: draw for name, draw in found.items() if draw is not None}
