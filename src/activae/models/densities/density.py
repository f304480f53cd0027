"""What all densities of codes have in common."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor


class Density(Protocol):
    """A distribution of codes of d dimensions."""

    form: ClassVar[str]  # by which `kinds.restored` knows what keeps such parts

    @property
    def width(self) -> int:
        """d."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes [n, d], single precision."""

    def log_prob(self, codes: Tensor) -> Tensor:
        """ln of the density at codes [N, d], in nats: [N], float64.

        Raises UserError where it is not known in closed form.
        """

    def parts(self) -> dict[str, Any]:
        """The tensors and plain values that it is made of."""

    def __str__(self) -> str:
        """What it is, in a few words."""
