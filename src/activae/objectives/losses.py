"""Reconstruction losses, and what each asks of the data and of the network.

Each is (autoencoder, x) -> a scalar: the mean over features and samples of x [B, *shape], so that a
learning rate means the same at any number of features and any batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.models.counts import (
    Exponential,
    LogCounts,
    LogShares,
    NegativeBinomialHead,
    SharesOfTotal,
    log_probability,
    totals,
)

Loss = TypeVar("Loss", bound=Callable[..., Any])


@dataclass(frozen=True)
class Demand:
    """What a loss needs; declared with `@demands(...)`. Without one, any data and output will do.

    Attributes:
        output: makes the network's last step for a sample's shape, the only one that fits the loss;
            None: any output activation, by default none.
        takes_output_for: what the loss takes the output for, in words.
        outputs: values that the decoder gives for each feature.
        reads: makes the module through which samples go to the encoder; None: as they are.
        least, most: the interval that the data must lie in.
        counts: whether the data must be whole numbers.
        normalisation: the `data.normalisation` that makes ordinary data so.
        likelihood: whether it is -ln P(x) of whole numbers x, in nats, with nothing left out.
    """

    output: Callable[[Sequence[int]], nn.Module] | None = None
    takes_output_for: str = ""
    outputs: int = 1
    reads: Callable[[], nn.Module] | None = None
    least: float = -inf
    most: float = inf
    counts: bool = False
    normalisation: str = ""
    likelihood: bool = False


def demands(**asked: Any) -> Callable[[Loss], Loss]:
    """Declare what a loss demands: the fields of `Demand` by name."""

    def declared(loss: Loss) -> Loss:
        loss.demand = Demand(**asked)  # type: ignore[attr-defined]
        return loss

    return declared


def demand_of(loss: Callable[..., Any]) -> Demand:
    """What a loss, or a partial of one, has declared."""
    return getattr(plain(loss), "demand", Demand())


def plain(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a partial is of."""
    return loss.func if isinstance(loss, partial) else loss


def mse(net: Autoencoder, x: Tensor) -> Tensor:
    """Squared error of the reconstructions."""
    return F.mse_loss(net(x), x)


def l1(net: Autoencoder, x: Tensor) -> Tensor:
    """Absolute error of the reconstructions."""
    return F.l1_loss(net(x), x)


def huber(net: Autoencoder, x: Tensor, *, delta: float) -> Tensor:
    """Half the squared error up to delta, linear beyond.

    Huber 1964, Robust estimation of a location parameter.
    Raises ConfigError unless delta > 0.
    """
    if not delta > 0:
        raise ConfigError(f"objective.reconstruction.delta={delta}: must be greater than 0")
    return F.huber_loss(net(x), x, delta=delta)


@demands(
    output=lambda shape: nn.Sigmoid(),
    takes_output_for="a probability, which only the sigmoid makes of it",
    least=0.0,
    most=1.0,
    normalisation="unit_range",
    likelihood=True,
)
def bce(net: Autoencoder, x: Tensor) -> Tensor:
    """Binary cross-entropy in nats; x in [0, 1].

    Taken from the logits, which stays exact where a sigmoid would round to 0 or 1; the output
    activation has to be the sigmoid.
    """
    return F.binary_cross_entropy_with_logits(net.logits(x), x)


@demands(
    output=lambda shape: Exponential(),
    takes_output_for="the logarithm of a rate, of which only the exponential makes one",
    reads=LogCounts,
    least=0.0,
    normalisation="none",
    likelihood=True,
)
def poisson(net: Autoencoder, x: Tensor) -> Tensor:
    """Poisson's -ln P(x) = rate - x ln(rate) + ln(x!) in nats; x >= 0.

    The network reads ln(1 + x) and gives ln(rate), so that the reconstruction is the rate, e to its
    output. For data that are not whole numbers x! is Gamma(x + 1).
    """
    log_rate = net.logits(x).to(x.dtype)
    return (log_rate.exp() - x * log_rate + torch.lgamma(x.clamp_min(0) + 1)).mean()


@demands(
    output=SharesOfTotal,
    takes_output_for="logits, of which only the softmax times the sample's total makes counts",
    reads=LogShares,
    least=0.0,
    normalisation="none",
)
def multinomial(net: Autoencoder, x: Tensor) -> Tensor:
    """-sum_j x_j ln softmax(output)_j in nats, divided by the number of features; x >= 0.

    Without the multinomial coefficient, which no network can change (Liang et al. 2018, Variational
    autoencoders for collaborative filtering). The network reads ln(1 + x / mean(x)); the
    reconstruction is softmax(output) times the sample's total, which is thus known beside the code.
    """
    head = net.output_activation
    assert isinstance(head, SharesOfTotal)
    log_shares = head.log_shares(net.logits(x).to(x.dtype))
    return -(x.flatten(1) * log_shares).mean()


@demands(
    output=partial(NegativeBinomialHead, zero_inflated=False),
    takes_output_for="the logits of a negative binomial's means",
    reads=LogShares,
    least=0.0,
    counts=True,
    normalisation="none",
    likelihood=True,
)
def nb(net: Autoencoder, x: Tensor) -> Tensor:
    """-ln P(x) in nats under a negative binomial; x are counts.

    mu = total * softmax(output), variance mu + mu^2 / theta with theta learnt for each feature
    (Lopez et al. 2018, scVI). The network reads ln(1 + x / mean(x)); the reconstruction is mu, so
    the sample's total is known beside the code. SE compares counts: large ones dominate it.
    """
    head = net.output_activation
    assert isinstance(head, NegativeBinomialHead)
    return -log_probability(x.flatten(1), head.distribution(net.logits(x), totals(x))).mean()


@demands(
    output=partial(NegativeBinomialHead, zero_inflated=True),
    takes_output_for="the logits of a zero-inflated negative binomial's means and extra zeros",
    outputs=2,
    reads=LogShares,
    least=0.0,
    counts=True,
    normalisation="none",
    likelihood=True,
)
def zinb(net: Autoencoder, x: Tensor) -> Tensor:
    """-ln P(x) in nats under a zero-inflated negative binomial; x are counts.

    P(x) = pi [x = 0] + (1 - pi) NB(x; mu, theta): mu and theta as in `nb`, from the first output,
    and pi = sigmoid(second output) (Eraslan et al. 2019, Single-cell RNA-seq denoising using a deep
    count autoencoder; Lopez et al. 2018, scVI). The reconstruction is the mean, (1 - pi) mu.
    """
    return nb(net, x)  # the head's distribution has the extra zeros
