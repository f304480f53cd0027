"""What joins a loss in a script: corruption, regularisers, the network's latent, their noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from activae.data.normalisation import Normalisation
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.batch import Noise
from activae.objectives.declared import Objective
from activae.objectives.objective import draws_of, with_declared
from activae.objectives.regularisers import Regulariser
from activae.randomness import generator

Corruption = Callable[..., Tensor]


def joined(
    objective: Objective,
    net: Autoencoder,
    normalisation: nn.Module,
    corruption: Corruption | None,
    regularisers: Mapping[str, Regulariser],
    seed: int,
) -> tuple[Objective, Noise | None]:
    """The objective with all that joins it, and what draws the random numbers of its steps.

    Both are those of a run of train.py with this seed. Raises ConfigError for a regulariser that
    does not suit the network, and for parameters that a corruption refuses.
    """
    for name, regulariser in regularisers.items():
        if not isinstance(regulariser, Regulariser):
            raise ConfigError(
                f"regularisers: {name}: is a {type(regulariser).__name__}, not an "
                "activae.objectives.Regulariser"
            )
        regulariser.check(net)
    penalties = {name: each for name, each in regularisers.items() if each.weight}
    draws = draws_of(objective, net, penalties)
    if not (penalties or draws or corruption or net.latent is not None):
        return objective, None
    code_dim = _code_dim(net)
    for name, penalty in penalties.items():
        penalty.start(net, code_dim, generator(seed, "weights", name))
    corrupt = None if corruption is None else _Corrupting(corruption, normalisation)
    if corrupt is not None:  # refuses its parameters now, not at the first step
        corrupt(torch.zeros(1, *net.shape), noise=torch.Generator())
    noise = Noise(seed, corrupt, draws, code_dim) if corrupt or draws else None
    return with_declared(objective, net, penalties, corrupt is not None), noise


class _Corrupting:
    """A corruption in the range of the data, which a DataModule may tell later."""

    def __init__(self, corruption: Corruption, normalisation: nn.Module) -> None:
        self.corruption = corruption
        self.normalisation = normalisation

    def __call__(self, x: Tensor, *, noise: torch.Generator) -> Tensor:
        kind, low, high = self.normalisation, 0.0, 1.0
        if isinstance(kind, Normalisation):
            low, high = kind.target_range.tolist()
        return self.corruption(x, noise=noise, value_range=(low, high))


@torch.no_grad()
def _code_dim(net: Autoencoder) -> int:
    trains, first = net.training, next(net.parameters())
    net.eval()
    try:
        return int(net.encode(torch.zeros(1, *net.shape).to(first)).shape[1])
    finally:
        net.train(trains)
