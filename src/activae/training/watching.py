"""How the latent and those regularisers that can go wrong fare, in figures and in warnings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch

from activae.config.wording import wrapped
from activae.models import Autoencoder
from activae.objectives import Regularised

log = logging.getLogger(__name__)

SAMPLES = 1000  # of the validation split


class _Complaining(Protocol):
    def complaints(self, figures: Mapping[str, float], *, ended: bool) -> Iterator[str]: ...


@torch.no_grad()
def figures_of(model: Any) -> dict[str, dict[str, float]]:
    """By latent and regulariser; empty for a run that has neither of such.

    model: an `AutoencoderModule`; without a DataModule of ours no samples are known to look at.
    """
    watched, data = watched_in(model), model.own_data()
    if not watched or data is None:
        return {}
    net: Autoencoder = model.net
    was_training = net.training
    net.eval()
    try:
        x = data.samples["val"][:SAMPLES]
        x = x.to(next(net.parameters()))
        with torch.autocast(x.device.type, enabled=False):
            found = {
                name: each.figures(net.encoded(x)) if name == "latent" else each.figures(net, x)
                for name, each in watched.items()
            }
    finally:
        net.train(was_training)
    return {name: figures for name, figures in found.items() if figures}


def watched_in(model: Any) -> dict[str, Any]:
    """The latent and the regularisers of the run's loss, by name."""
    objective = model.whole_objective
    if not isinstance(objective, Regularised):
        return {}
    latent = {} if model.net.latent is None else {"latent": model.net.latent}
    return latent | objective.regularisers


def warn(model: Any, figures: Mapping[str, Mapping[str, float]], told: set[str]) -> None:
    """Log what the figures show to be wrong, each fault once: `told` keeps which have been told."""
    watched = watched_in(model)
    ended = model.step >= model.total_steps
    for name, found in figures.items():
        complaining: _Complaining = watched[name]
        for complaint in complaining.complaints(found, ended=ended):
            subject = complaint[:20]
            if subject not in told:
                told.add(subject)
                log.warning("%s", wrapped(f"note   {complaint}"))
