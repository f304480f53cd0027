"""What every regulariser is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.declared import Draw, Strength


class Regulariser(ABC):
    """A penalty on the code, which is added to the loss `weight` times; 0 leaves it out.

    A weight may be a function of the step (from 0). Raises ConfigError for a negative weight.
    """

    of_batch = False  # whether it is one of the batch as a whole, not the mean of its samples'
    draw: Draw | None = None  # the random numbers that it needs at each step

    def __init__(self, name: str, weight: Strength) -> None:
        if not callable(weight) and not 0 <= weight < float("inf"):
            raise ConfigError(f"regulariser.{name}.weight={weight}: must be 0 or a positive number")
        self.weight = weight

    def check(self, net: Autoencoder) -> None:  # noqa: B027 (most suit any network)
        """Raise ConfigError where the network's code is none that it can penalise."""

    @abstractmethod
    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]; `drawn` [B, ...] is what `draw` gave.

        A pure function of its arguments, for it runs compiled and vectorised over networks.
        """
