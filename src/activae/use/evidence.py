"""How likely a finished run takes samples to be: ln p(x) in nats, by importance weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from activae.config.instantiating import build
from activae.data.binarising import fixed_draw
from activae.objectives import importance

if TYPE_CHECKING:
    from activae.use.run import Run

Told = Callable[[int, int], None]


def log_evidence(run: Run, x: Any, samples: int, seed: int) -> Tensor:
    """What `Run.log_evidence` returns, of samples as a user hands them in."""
    return of_normalised(run, normalised(run, x), samples, seed)


def normalised(run: Run, x: Any) -> Tensor:
    """Samples [N, *shape] as the network takes them; pixels are drawn where the run's were."""
    found = run.to_network(x)
    if not run.spec.binarise:
        return found
    return fixed_draw(found.cpu(), (0.0, 1.0), part="test").to(found)


def of_normalised(run: Run, x: Tensor, samples: int, seed: int, told: Told | None = None) -> Tensor:
    """The same of normalised samples [N, *shape], as the network takes them."""
    objective = build(run.config["objective"], "objective")
    likelihood = importance.likelihood_of(objective, run.network)
    importance.refuse_improbable(objective, x)
    x = x.to(next(run.network.parameters()))
    return importance.log_evidence(
        run.network, likelihood, x, samples=samples, seed=seed, told=told
    )
