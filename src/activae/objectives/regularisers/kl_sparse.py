"""Sparse codes by how often each unit is active."""

from __future__ import annotations

from math import isfinite

from torch import Tensor

from activae.activations import output_range
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.regularisers.regulariser import Regulariser

_SMALLEST_ACTIVITY = 1e-6  # of a unit that is silent for a whole batch, whose logarithm is taken


class KLSparse(Regulariser):
    """Sum over code units of KL(Bernoulli(rho) || Bernoulli(rho_j)) (Ng 2011, Sparse autoencoder).

    rho is the wanted `activity`, rho_j that of unit j: its mean over the batch. A code with other
    bounds than 0 and 1, such as tanh's, is moved to [0, 1] first. The mean being the batch's, the
    loss of a batch is not the mean of its samples'. Raises ConfigError unless 0 < activity < 1.
    """

    of_batch = True

    def __init__(self, weight: float, activity: float) -> None:
        super().__init__("kl_sparse", weight)
        if not 0 < activity < 1:
            raise ConfigError(
                f"regulariser.kl_sparse.activity={activity}: must be greater than 0 and less than 1"
            )
        self.activity = activity
        self.bounds = (0.0, 1.0)

    def check(self, net: Autoencoder) -> None:
        """Note the code's bounds; raise ConfigError where it has none."""
        low, high = output_range(net.code_activation)
        if not (isfinite(low) and isfinite(high)):
            raise ConfigError(
                "regulariser=kl_sparse: takes the mean of a code unit for how often it is active, "
                f"and the code lies in [{low:.4g}, {high:.4g}]; use "
                "activation@encoding.activation=sigmoid"
            )
        self.bounds = (low, high)

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]."""
        low, high = self.bounds
        mean = ((net.encode(x).mean(0) - low) / (high - low)).clamp(
            _SMALLEST_ACTIVITY, 1 - _SMALLEST_ACTIVITY
        )
        on = self.activity * (self.activity / mean).log()
        off = (1 - self.activity) * ((1 - self.activity) / (1 - mean)).log()
        return (on + off).sum()
