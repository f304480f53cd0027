"""How a fit may end before its last step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Interrupted(Exception):
    """Raised between two optimizer steps after the user asked to stop."""


class Diverged(Exception):
    """Raised when the loss is no longer finite; `step` counts from 0."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


def raise_if_diverged(losses: Sequence[Tensor], first_step: int) -> None:
    """Raise Diverged at the first of some consecutive steps whose loss is not finite."""
    finite = torch.stack(list(losses)).isfinite().tolist() if losses else []
    if not all(finite):
        raise Diverged(first_step + finite.index(False))
