"""The objective of K members at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from activae.models import Autoencoder
from activae.objectives import AnyObjective, Objective, Regularised, total
from activae.objectives.batch import Batch, samples_of
from activae.training.module import AutoencoderModule

Terms = dict[str, Tensor]
PENALTIES = ("l1", "l2")


class StackedLoss:
    """What an objective of one network is for many, whose parameters come as [K, *shape] by name.

    The network given lends its layers, never its own parameters.
    """

    def __init__(self, net: Autoencoder, objective: AnyObjective) -> None:
        self.module = _Loss(net, objective)
        self._of_own_batches = vmap(partial(self._call, score=False))
        self._of_one_batch = vmap(partial(self._call, score=True), in_dims=(0, None, 0))

    def terms(self, stacked: dict[str, Tensor], batch: Batch, strengths: Tensor) -> Terms:
        """The terms [K], each member's of its own batch of samples [K, B, *shape]; differentiable.

        strengths: the weights of each member's regularisers [K, R].
        """
        found: Terms = self._of_own_batches(stacked, batch, strengths)
        return found

    @torch.no_grad()
    def scores(self, stacked: dict[str, Tensor], batch: Batch, strengths: Tensor) -> Terms:
        """`loss` and `SE` [K] of all members on the same samples [B, *shape]."""
        self.module.eval()
        found: Terms = self._of_one_batch(stacked, batch, strengths)
        self.module.train()
        return found

    def _call(
        self, parameters: dict[str, Tensor], batch: Batch, strengths: Tensor, *, score: bool
    ) -> Terms:
        lent = {f"net.{name}": parameter for name, parameter in parameters.items()}
        terms: Terms = functional_call(self.module, lent, (batch, strengths, score))
        return terms


class _Loss(nn.Module):
    """The objective as a module, so that functional_call can lend it other parameters."""

    def __init__(self, net: Autoencoder, objective: AnyObjective) -> None:
        super().__init__()
        self.net = net
        self.objective = objective

    def forward(self, batch: Batch, strengths: Tensor, score: bool) -> Terms:
        if isinstance(self.objective, Regularised):
            terms = self.objective(self.net, batch, strengths)
        else:
            terms = self.objective(self.net, batch)
        if not score:
            return terms
        x = samples_of(batch)
        squared_error = (self.net(x) - x).square().sum() / len(x)
        return {"loss": total(terms), "SE": squared_error}


class Penalties:
    """l1 * sum |w| and l2 * sum w^2, each member with its own coefficients [K].

    In closed form, so that members with and without a penalty go together.
    """

    def __init__(self, coefficients: Terms) -> None:
        self.coefficients = coefficients

    def of(self, rows: Tensor | None) -> Penalties:
        """Those of the members in these places; None for all."""
        if rows is None:
            return self
        return Penalties({name: c[rows] for name, c in self.coefficients.items()})

    def terms(self, weights: Tensor) -> Terms:
        """The penalties [K] of weights [K, W]."""
        sizes = {"l1": weights.abs, "l2": weights.square}
        return {name: c * sizes[name]().sum(1) for name, c in self.coefficients.items()}

    def add_gradient(self, weights: Tensor, gradient: Tensor) -> None:
        """Add the penalties' to the gradient [K, W] of the weights, in place."""
        for name, c in self.coefficients.items():
            slope = weights.sign() if name == "l1" else 2 * weights
            gradient.addcmul_(c[:, None], slope)


def stacked_penalties(models: Sequence[AutoencoderModule], like: Tensor) -> Penalties:
    """The members' penalties, those that any of them has."""
    coefficients = {name: [penalty(m.objective, name) for m in models] for name in PENALTIES}
    return Penalties({n: like.new_tensor(c) for n, c in coefficients.items() if any(c)})


def penalty(objective: AnyObjective, name: str) -> float:
    """The coefficient of one of PENALTIES; objectives of the user's own keep theirs within."""
    plain = unregularised(objective)
    return float(getattr(plain, name)) if type(plain) is Objective else 0.0


def without_penalties(objective: AnyObjective) -> AnyObjective:
    """The part of an objective that is the same for all members."""
    if isinstance(objective, Regularised):
        return Regularised(without_penalties(objective.objective), objective.regularisers)
    if type(objective) is Objective:
        return Objective(objective.reconstruction, l1=0.0, l2=0.0)
    return objective


def unregularised(objective: AnyObjective) -> AnyObjective:
    """The objective to which regularisers were added, if any were."""
    return objective.objective if isinstance(objective, Regularised) else objective


def regulariser_weights(models: Sequence[AutoencoderModule], like: Tensor) -> Tensor:
    """Those of the members' regularisers [K, R], of which all have the same."""
    objectives = [model.objective for model in models]
    weights = [
        [r.weight for r in o.regularisers.values()] if isinstance(o, Regularised) else []
        for o in objectives
    ]
    return like.new_tensor(weights).reshape(len(models), -1)


def stacked_loss(models: Sequence[AutoencoderModule]) -> StackedLoss:
    """The loss that these members share."""
    return StackedLoss(models[0].net, without_penalties(models[0].objective))
