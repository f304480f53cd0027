"""The first and the last step of a network for counts: of words in texts, of molecules in cells.

None of these has a buffer, so that networks with them can be stacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of an empty sample: its logarithm is finite, and it is far below any count.
LEAST_TOTAL = 1e-6


def totals(x: Tensor) -> Tensor:
    """Sum of each sample: [B] of x [B, *shape]."""
    return x.flatten(1).sum(1)


class LogCounts(nn.Module):
    """x -> ln(1 + x), elementwise; negative values count as 0."""

    def forward(self, x: Tensor) -> Tensor:
        """As described; x [B, *shape]."""
        return x.clamp_min(0).log1p()


class LogShares(nn.Module):
    """x -> ln(1 + x / mean(x)), with each sample's own mean; negative values count as 0.

    Long and short samples alike come out with values around 1. Single-cell practice scales to a
    total of 10^4 instead, which is the same but for a factor (Luecken & Theis 2019, Current best
    practices in single-cell RNA-seq analysis).
    """

    def forward(self, x: Tensor) -> Tensor:
        """As described; x [B, *shape]."""
        counts = x.flatten(1).clamp_min(0)
        mean = counts.mean(1, keepdim=True).clamp_min(LEAST_TOTAL)
        return (counts / mean).log1p().view_as(x)


class Exponential(nn.Module):
    """x -> e^x: the output of a loss that is taken from the logarithm of a rate."""

    def forward(self, x: Tensor) -> Tensor:
        """As described."""
        return x.exp()


class TotalSharingHead(nn.Module):
    """Base of outputs that share out each sample's total, which they are told beside the code."""

    def forward(self, raw: Tensor, totals: Tensor) -> Tensor:
        """Reconstructions [B, *shape] of what the decoder gives, and the samples' totals [B]."""
        raise NotImplementedError


class SharesOfTotal(TotalSharingHead):
    """softmax over all features, times the total of the sample."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()

    def log_shares(self, raw: Tensor) -> Tensor:
        """Logarithm of each feature's share [B, features]; raw [B, *shape] are the logits."""
        return raw.flatten(1).log_softmax(1)

    def forward(self, raw: Tensor, totals: Tensor) -> Tensor:
        """Expected counts [B, *shape]; raw [B, *shape], totals [B]."""
        return (self.log_shares(raw).exp() * totals[:, None]).view_as(raw)


class NegativeBinomial(NamedTuple):
    """Parameters of each count's distribution [B, features], as logarithms and logits.

    log_mean: ln mu of the negative binomial; log_dispersion: ln theta, where the variance is
    mu + mu^2 / theta; dropout: logit of the probability of an extra zero, None without.
    """

    log_mean: Tensor
    log_dispersion: Tensor
    dropout: Tensor | None


class NegativeBinomialHead(TotalSharingHead):
    """Mean counts from a negative binomial, or with `zero_inflated` a zero-inflated one.

    mu = total * softmax(.) over the features, theta a parameter of each feature, as in scVI (Lopez
    et al. 2018, Deep generative modeling for single-cell transcriptomics). A zero-inflated one
    takes two values a feature from the decoder: all of the first kind, then all of the second.
    """

    def __init__(self, shape: Sequence[int], *, zero_inflated: bool) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.zero_inflated = zero_inflated
        self.log_dispersion = nn.Parameter(torch.zeros(prod(shape)))

    def distribution(self, raw: Tensor, totals: Tensor) -> NegativeBinomial:
        """The parameters for what the decoder gives, and the samples' totals [B]."""
        # Where autocast made them bfloat16, counts of thousands would lose their digits.
        flat = raw.flatten(1).to(totals.dtype)
        logits, dropout = flat.chunk(2, dim=1) if self.zero_inflated else (flat, None)
        log_total = totals.clamp_min(LEAST_TOTAL).log()[:, None]
        log_mean = logits.log_softmax(1) + log_total
        return NegativeBinomial(log_mean, self.log_dispersion.to(totals.dtype), dropout)

    def forward(self, raw: Tensor, totals: Tensor) -> Tensor:
        """Expected counts [B, *shape], extra zeros included; totals [B]."""
        found = self.distribution(raw, totals)
        mean = found.log_mean.exp()
        if found.dropout is not None:
            mean = mean * torch.sigmoid(-found.dropout)
        return mean.unflatten(1, self.shape)


def log_probability(x: Tensor, of: NegativeBinomial) -> Tensor:
    """ln P(x) of counts x [B, features] in nats, elementwise, constants included.

    Written with softplus(ln mu - ln theta) = ln(1 + mu / theta), which keeps its digits for any
    theta: towards the Poisson distribution as theta grows.
    """
    dispersion = of.log_dispersion.exp()
    ratio = of.log_mean - of.log_dispersion
    log_p = (
        _log_rising(x, dispersion, of.log_dispersion)
        - torch.lgamma(x + 1)
        - dispersion * F.softplus(ratio)
        - x * F.softplus(-ratio)
    )
    if of.dropout is None:
        return log_p
    at_zero = torch.logaddexp(of.dropout, log_p)
    return torch.where(x == 0, at_zero, log_p) - F.softplus(of.dropout)


# From here on Stirling's series to the term 1 / theta^3 is exact to rounding.
_LARGE_DISPERSION = 50.0


def _log_rising(x: Tensor, dispersion: Tensor, log_dispersion: Tensor) -> Tensor:
    """ln(Gamma(x + theta) / Gamma(theta)); from Stirling's series where the two would cancel."""
    small = dispersion.clamp_max(_LARGE_DISPERSION)
    large = dispersion.clamp_min(_LARGE_DISPERSION)
    exact = torch.lgamma(x + small) - torch.lgamma(small)
    stirling = (
        (x + large - 0.5) * (x / large).log1p()
        + x * (log_dispersion - 1)
        + _stirling_rest(x + large)
        - _stirling_rest(large)
    )
    return torch.where(dispersion < _LARGE_DISPERSION, exact, stirling)


def _stirling_rest(z: Tensor) -> Tensor:
    return 1 / (12 * z) - 1 / (360 * z**3)
