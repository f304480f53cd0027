"""How many dimensions of a code are in use."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def effective_rank(codes: Tensor) -> float:
    """Return the effective rank of codes [N, k]: between 1 and min(N - 1, k).

    exp of the entropy of the normalised singular values of the centred codes (Roy & Vetterli 2007,
    The effective rank: a measure of effective dimensionality). Codes that are all
    equal use no dimension: 0. Codes that are not finite: NaN.
    """
    assert codes.ndim == 2, codes.shape
    wide = codes.detach().cpu().double()
    if not wide.isfinite().all():
        return math.nan
    singular_values = torch.linalg.svdvals(wide - wide.mean(0))
    rounding = max(wide.shape) * torch.finfo(wide.dtype).eps * torch.linalg.norm(wide)
    if singular_values[0] <= rounding:
        return 0.0
    shares = singular_values / singular_values.sum()
    return torch.special.entr(shares).sum().exp().item()
