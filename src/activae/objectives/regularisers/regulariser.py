"""What every regulariser is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from activae.errors import ConfigError
from activae.models import Autoencoder


class Regulariser(ABC):
    """A penalty on the code, which is added to the loss `weight` times; 0 leaves it out.

    Raises ConfigError for a negative weight.
    """

    of_batch = False  # whether it is one of the batch as a whole, not the mean of its samples'
    probes = 0  # how many random vectors [B, code_dim] ~ N(0, 1) it needs at each step

    def __init__(self, name: str, weight: float) -> None:
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"regulariser.{name}.weight={weight}: must be 0 or a positive number")
        self.weight = weight

    def check(self, net: Autoencoder) -> None:  # noqa: B027 (most suit any network)
        """Raise ConfigError where the network's code is none that it can penalise."""

    @abstractmethod
    def __call__(self, net: Autoencoder, x: Tensor, probes: Tensor | None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]; probes [n, B, code_dim], if it needs any.

        A pure function of its arguments, for it runs compiled and vectorised over networks.
        """
