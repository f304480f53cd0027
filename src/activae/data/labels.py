"""Names of classes as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def encoded(names: Sequence[str] | None) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """int64 indices [N] into the sorted names, and those; None for fewer than two."""
    if names is None or len(set(names)) < 2:
        return None, None
    classes, indices = np.unique(np.array(names, dtype=str), return_inverse=True)
    return torch.from_numpy(indices.astype(np.int64)), tuple(map(str, classes))
