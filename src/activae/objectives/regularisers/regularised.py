"""An objective with regularisers, of which the encoder may see a corrupted input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from activae.models import Autoencoder
from activae.objectives import Objective
from activae.objectives.batch import Batch, parts_of
from activae.objectives.regularisers.regulariser import Regulariser
from activae.training.steps import Objective as AnyObjective


class Regularised:
    """(autoencoder, batch) -> the terms of `objective`, and those of the regularisers by name.

    With `strengths` go as many numbers as there are, or those of the regularisers alone.

    The batch is samples [B, *shape], or a mapping with what the step draws for them: see
    `activae.objectives.batch`. Those whose weight is 0 are left out.
    """

    def __init__(self, objective: AnyObjective, regularisers: Mapping[str, Regulariser]) -> None:
        self.objective = objective
        self.regularisers = {name: r for name, r in regularisers.items() if r.weight}

    @property
    def strengths(self) -> tuple[float, ...]:
        """The numbers that may be given anew with each call: the objective's, then the weights."""
        weights = tuple(regulariser.weight for regulariser in self.regularisers.values())
        return strengths_of(self.objective) + weights

    def __call__(
        self, net: Autoencoder, batch: Batch, strengths: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Every term of the batch's loss; `strengths`, where given, are used for those named so."""
        x, seen, probes = parts_of(batch)
        view = net if seen is None else cast(Autoencoder, _Seeing(net, seen))
        given: tuple[Any, ...] = self.strengths if strengths is None else strengths.unbind()
        own = len(given) - len(self.regularisers)
        # The objective's are left out where it is given none, or has none to give.
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
    """The numbers that an objective lets be given anew with each call; none for the user's own."""
    if isinstance(objective, (Objective, Regularised)):
        return objective.strengths
    return ()
