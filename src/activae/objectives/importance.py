"""Bounds of ln p(x) by importance weights: what IWAE maximises, and the estimate that is published.

ln p(x) >= ln 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x), z_k ~ q(z | x), in nats, and nearer to it
the larger K (Burda et al. 2016, Importance weighted autoencoders). The prior is N(0, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, nan, sqrt
from typing import Any, ClassVar, cast

import torch
from torch import Tensor
from torch.func import vmap

from activae.data.normalisation import Samples
from activae.errors import ConfigError, DataError
from activae.models import Autoencoder
from activae.objectives.batch import Batch, samples_of
from activae.objectives.generative import log_normal, moments_of, refuse_unless_distribution
from activae.objectives.losses import Demand, demand_of, plain
from activae.objectives.seen import training_code
from activae.randomness import generator

PUBLISHED = 5000  # codes of a sample, with which likelihoods are published
_DECODED_AT_ONCE = 2**15  # codes
# Codes that are decoded together to score samples, and of these a sample's.
_DECODED_ON_CPU, _DECODED_ON_GPU, _DRAWN_AT_ONCE = 1000, 20_000, 100

Likelihood = Callable[[Autoencoder, Tensor], Tensor]


class ImportanceWeighted:
    """(autoencoder, batch) -> minus that bound, averaged over samples, divided by the features.

    likelihood: a reconstruction loss in nats, such as bce: -ln p(x | z), averaged over features.
    Of the K = `samples` codes of a sample the first is the latent's own, so that with K = 1 this is
    the likelihood with `regulariser.kl.sampled=true`. Raises ConfigError for a K below 1, and for
    a latent that is no distribution.
    """

    needs = "gaussian"
    # Regularisers that must not stand beside it, and why.
    holds: ClassVar = {"kl": "the bound of objective=iwae holds p(z) / q(z given x) already"}

    def __init__(self, likelihood: Likelihood, *, samples: int) -> None:
        if samples < 1 or samples != int(samples):
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
        refuse_unless_distribution(net, "objective=iwae", "take another objective, as bce")

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
    x: Samples,
    *,
    samples: int = PUBLISHED,
    seed: int = 0,
    told: Callable[[int, int], None] | None = None,
) -> Tensor:
    """The bound of ln p(x) in nats of normalised samples [N, *shape], float64 [N] on the CPU.

    Published figures are minus its mean over the test split, with 5,000 codes a sample (Burda et
    al. 2016). Codes are drawn on the CPU from the seed and the sample's place; memory does not grow
    with their number. told: is called with how many samples are done, and how many there are.
    Raises ConfigError where the network's code is no distribution.
    """
    refuse_unless_distribution(net, "the likelihood by importance weights", "train a VAE for it")
    if samples < 1 or samples != int(samples):
        raise ConfigError(f"samples={samples}: must be a whole number of 1 or more")
    rows = (_DECODED_ON_GPU if x.is_cuda else _DECODED_ON_CPU) // _DRAWN_AT_ONCE
    found = [torch.empty(0, dtype=torch.float64)]
    for first in range(0, len(x), rows):
        part = x[first : first + rows]
        places = range(first, first + len(part))
        noises = [generator(seed, "evidence", place) for place in places]
        found.append(_bound(net, likelihood, part, samples, noises))
        if told is not None:
            told(places.stop, len(x))
    return torch.cat(found)


def _bound(
    net: Autoencoder, likelihood: Likelihood, x: Tensor, samples: int, noises: list[torch.Generator]
) -> Tensor:
    mean, log_variance = moments_of(net, x)
    deviation = (log_variance / 2).exp()[:, None]
    total = torch.full((len(x),), -inf, dtype=torch.float64)
    for first in range(0, samples, _DRAWN_AT_ONCE):
        shape = min(_DRAWN_AT_ONCE, samples - first), mean.shape[1]
        normal = torch.stack([torch.randn(shape, generator=noise) for noise in noises])
        codes = mean[:, None] + deviation * normal.to(mean)
        weights = log_weights(net, likelihood, x, codes, mean, log_variance)
        total = torch.logaddexp(total, weights.logsumexp(1).cpu().double())
    return total - log(samples)


def likelihood_of(objective: Any, net: Autoencoder, wanted_by: str = "") -> Likelihood:
    """-ln P(x | z) averaged over features, by which an objective gives samples a probability.

    wanted_by: the config key that asks for it, of a run that is not trained yet. Raises ConfigError
    where it gives none, or the network's code is no distribution.
    """
    what = f"{wanted_by}: the likelihood of samples" if wanted_by else "the likelihood of samples"
    otherwise = f"leave {wanted_by} out" if wanted_by else "ask a run that was trained with it"
    refuse_unless_distribution(net, f"{what} (nll)", otherwise)
    loss = _loss_of(objective)
    if not demand_of(loss).likelihood:
        end = f"; {otherwise}" if wanted_by else ""
        raise ConfigError(
            f"objective={_name_of(objective)}: gives samples no probability, and so no likelihood "
            "(nll). bce does, of pixels of 0 and 1 (data.source.binarise=dynamic), and poisson, nb "
            "and zinb do, of counts; a squared error is one only with a variance, and none is "
            f"defined{end}"
        )
    return cast(Likelihood, loss)


def _loss_of(objective: Any) -> Any:
    inner = getattr(objective, "objective", objective)  # of one that regularisers have joined
    return getattr(inner, "likelihood", None) or getattr(inner, "reconstruction", inner)


def _name_of(objective: Any) -> str:
    """bce; of a bound iwae (likelihood bce)."""
    loss = _loss_of(objective)
    name = str(getattr(plain(loss), "__name__", type(loss).__name__))
    is_bound = isinstance(getattr(objective, "objective", objective), ImportanceWeighted)
    return f"iwae (likelihood {name})" if is_bound else name


def refuse_improbable(objective: Any, x: Tensor) -> None:
    """Raise DataError for samples [N, *shape] with values to which it gives no probability."""
    demand = demand_of(_loss_of(objective))
    fits = (x == x.round()) & (x >= demand.least) & (x <= demand.most)
    if not fits.all():
        wanted = "values of 0 and 1" if demand.most == 1 else "whole numbers"
        remedy = "; train with data.source.binarise=dynamic" if demand.most == 1 else ""
        share = 1 - fits.double().mean().item()
        raise DataError(
            f"objective={_name_of(objective)}: gives {wanted} alone a probability (nll), "
            f"and {share:.1%} of these samples' values are others{remedy}"
        )


def nll_figures(evidence: Tensor) -> tuple[float, float]:
    """Minus the mean of ln p(x) [N], and its standard error over samples; NaN of one sample."""
    deviation = evidence.std().item() if len(evidence) > 1 else nan
    return -evidence.mean().item(), deviation / sqrt(len(evidence))
