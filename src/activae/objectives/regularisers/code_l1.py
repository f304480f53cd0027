"""Sparse codes by their absolute values."""

from __future__ import annotations

from torch import Tensor

from activae.models import Autoencoder
from activae.objectives.regularisers.regulariser import Regulariser


class CodeL1(Regulariser):
    """Mean over samples of sum_j |h_j| over the code h (as in Olshausen & Field 1996)."""

    def __init__(self, weight: float) -> None:
        super().__init__("code_l1", weight)

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]."""
        return net.encode(x).abs().sum(1).mean()
