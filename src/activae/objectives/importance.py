"""Bounds of ln p(x) by importance weights: what IWAE maximises, and the estimate that is published.

ln p(x) >= ln 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x), z_k ~ q(z | x), in nats, and nearer to it
the larger K (Burda et al. 2016, Importance weighted autoencoders). The prior is N(0, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.batch import Batch, samples_of
from activae.objectives.generative import log_normal, moments_of, refuse_unless_distribution
from activae.objectives.losses import Demand, demand_of
from activae.objectives.seen import training_code

_DECODED_AT_ONCE = 2**15  # codes

Likelihood = Callable[[Autoencoder, Tensor], Tensor]


class ImportanceWeighted:
    """(autoencoder, batch) -> minus that bound, averaged over samples, divided by the features.

    likelihood: a reconstruction loss in nats, such as bce: -ln p(x | z), averaged over features.
    Of the K = `samples` codes of a sample the first is the latent's own, so that with K = 1 this is
    the likelihood with `regulariser.kl.sampled=true`. Raises ConfigError for a K below 1, and for
    a latent that is no distribution.
    """

    needs = "gaussian"

    def __init__(self, likelihood: Likelihood, *, samples: int) -> None:
        if samples < 1:
            raise ConfigError(f"objective.samples={samples}: must be a whole number of 1 or more")
        self.likelihood = likelihood
        self.samples = samples
        self.draw = self._draw if samples > 1 else None

    @property
    def demand(self) -> Demand:
        """What the likelihood asks of the data and of the network."""
        return demand_of(self.likelihood)

    def check(self, net: Autoencoder) -> None:
        """Raise ConfigError unless a code is a distribution."""
        refuse_unless_distribution(net, "objective=iwae")

    def _draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        """Standard normal numbers [B, K - 1, code_dim]."""
        return torch.randn(len(x), self.samples - 1, code_dim, generator=noise, dtype=x.dtype)

    def __call__(self, net: Autoencoder, batch: Batch) -> dict[str, Tensor]:
        """The one term of the loss."""
        x = samples_of(batch)
        mean, log_variance = moments_of(net, x)
        codes = training_code(net, x)[:, None]
        if not isinstance(batch, Tensor):
            deviation = (log_variance / 2).exp()[:, None]
            more = mean[:, None] + deviation * batch["drawn"].to(mean.dtype)
            codes = torch.cat([codes, more], dim=1)
        each = (x, codes, mean, log_variance)
        at_once = max(1, _DECODED_AT_ONCE // codes.shape[1])  # a validation has many samples
        parts = zip(*(values.split(at_once) for values in each), strict=True)
        weights = torch.cat([log_weights(net, self.likelihood, *part) for part in parts])
        bound = weights.logsumexp(1) - log(codes.shape[1])
        return {"reconstruction": -bound.mean() / x[0].numel()}


def log_weights(
    net: Autoencoder,
    likelihood: Likelihood,
    x: Tensor,
    codes: Tensor,
    mean: Tensor,
    log_variance: Tensor,
) -> Tensor:
    """ln p(x | z) + ln p(z) - ln q(z | x) in nats [B, K], for samples [B, *shape], z [B, K, d]."""
    prior = log_normal(codes).sum(2)
    posterior = log_normal(codes, mean[:, None], log_variance[:, None]).sum(2)
    return log_likelihood(net, likelihood, x, codes) + prior - posterior


def log_likelihood(net: Autoencoder, likelihood: Likelihood, x: Tensor, codes: Tensor) -> Tensor:
    """ln p(x | z) in nats [B, K] of samples [B, *shape] for codes [B, K, code_dim]."""
    logits = net.logits_of(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])

    def of_one(sample: Tensor, its: Tensor) -> Tensor:
        view: Any = _Decoded(net, its[None])
        return -likelihood(view, sample[None]) * sample.numel()

    every = x[:, None].expand(*codes.shape[:2], *x.shape[1:])
    found: Tensor = vmap(of_one)(every.flatten(0, 1), logits.flatten(0, 1))
    return found.unflatten(0, codes.shape[:2])


class _Decoded:
    """An autoencoder that has made these logits of whatever it is shown."""

    def __init__(self, net: Autoencoder, logits: Tensor) -> None:
        self.net = net
        self.given = logits

    def __call__(self, x: Tensor) -> Tensor:
        return self.net.reconstruct_from(self.given, x)

    def logits(self, x: Tensor) -> Tensor:
        return self.given

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)


@torch.no_grad()
def log_evidence(
    net: Autoencoder,
    likelihood: Likelihood,
    x: Tensor,
    *,
    samples: int,
    noise: torch.Generator,
    at_once: int = 100,
) -> Tensor:
    """The bound of ln p(x) in nats [B] of normalised samples [B, *shape], with so many codes each.

    Published figures are minus its mean over the test split, with 5,000 codes (Burda et al. 2016).
    noise: a generator of the CPU; `at_once` codes of each sample are decoded together. Raises
    ConfigError where the network's code is no distribution.
    """
    refuse_unless_distribution(net, "the likelihood by importance weights")
    mean, log_variance = moments_of(net, x)
    deviation = (log_variance / 2).exp()[:, None]
    parts = []
    for first in range(0, samples, at_once):
        count = min(at_once, samples - first)
        normal = torch.randn(len(x), count, mean.shape[1], generator=noise).to(mean)
        codes = mean[:, None] + deviation * normal
        found = log_weights(net, likelihood, x, codes, mean, log_variance)
        parts.append(found.logsumexp(1))
    return torch.stack(parts, 1).logsumexp(1) - log(samples)
