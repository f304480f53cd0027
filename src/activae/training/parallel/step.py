"""One optimizer step on a batch that several ranks share."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from activae.models import Autoencoder
from activae.objectives.batch import Batch
from activae.objectives.declared import Objective, Terms, total
from activae.randomness import step_seed
from activae.training.eager_step import EagerStep
from activae.training.optimizers import Clipping
from activae.training.parallel.team import Team
from activae.training.process import Stoppable


class ParallelStep(EagerStep):
    """Does what `EagerStep` does, computing the gradient on this rank's share of each batch.

    All that the ranks tell each other in a step is one tensor: gradients, terms, and whether to
    stop after it, which is noted in `fit`. `step` is the number (from 0) of the first step. What is
    drawn in the forward pass (RReLU, dropout) depends on seed, step and rank alone, so that a
    resumed run continues as it would have; one device draws other numbers.
    """

    def __init__(
        self,
        net: Autoencoder,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        clipping: Clipping | None,
        team: Team,
        fit: Stoppable,
        seed: int,
        step: int,
    ) -> None:
        super().__init__(net, objective, optimizer, clipping)
        self.team = team
        self.fit = fit
        self.seed = seed
        self.step = step

    def __call__(
        self, batch: Batch, factor: float, strengths: Sequence[float] | None = None
    ) -> Terms:
        """Take a step on the whole batch, which every rank is given; return its terms."""
        seed = step_seed(self.seed, self.step, self.team.rank)
        torch.default_generator.manual_seed(seed)
        if self.team.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        self.step += 1
        return super().__call__(batch, factor, strengths)

    def _backward(self, batch: Batch) -> Terms:
        """Leave the gradient of the whole batch's loss in the parameters; return its terms."""
        share, weight = self.team.share(batch)
        terms = self._terms(share)
        (weight * total(terms)).backward()
        return self._add_up({name: weight * term.detach() for name, term in terms.items()})

    def _add_up(self, terms: Terms) -> Terms:
        """Replace gradients by their sums over the ranks; return the sums of the terms."""
        trained = [p for p in self.parameters if p.grad is not None]
        parts = [p.grad.flatten() for p in trained if p.grad is not None]
        values = torch.stack([term.to(parts[0].dtype) for term in terms.values()])
        stop = values.new_tensor([float(self.team.stop_asked.is_set())])
        flat = torch.cat([*parts, values, stop])
        self.team.add_up(flat)
        *gradients, values, stop = flat.split([*(p.numel() for p in trained), len(terms), 1])
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient.view_as(parameter)
        if stop.item():
            self.fit.stop_requested = True
        return dict(zip(terms, values.unbind(), strict=True))
