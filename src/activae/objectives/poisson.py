"""Poisson's negative log-likelihood."""

import torch
from torch import Tensor

from activae.models import Autoencoder
from activae.models.counts import Exponential, LogCounts
from activae.objectives.demand import demands


@demands(
    output=lambda shape: Exponential(),
    takes_output_for="the logarithm of a rate, of which only the exponential makes one",
    reads=LogCounts,
    least=0.0,
    normalisation="none",
)
def poisson(net: Autoencoder, x: Tensor) -> Tensor:
    """rate - x ln(rate) + ln(x!) in nats, mean over features and samples; x [B, *shape] >= 0.

    The network reads ln(1 + x) and gives ln(rate), so that the reconstruction is the rate, e to its
    output. For data that are no whole numbers x! is Gamma(x + 1).
    """
    log_rate = net.logits(x).to(x.dtype)
    return (log_rate.exp() - x * log_rate + torch.lgamma(x.clamp_min(0) + 1)).mean()
