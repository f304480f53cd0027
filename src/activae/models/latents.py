"""The latents to choose from: a code that is normal, on a sphere, or made of words of a codebook.

Each is made from the code's number of dimensions. `encode` gives the same code at every call:
the mean, the point on the sphere, the nearest words. What regularisers ask of codes
(`activae.objectives.generative`) fits them by `kind` and `is_distribution`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.errors import ConfigError
from activae.models.latent import Latent

# A unit is active if its mean varies over samples by more than this (Burda et al. 2016, section 5).
ACTIVE_VARIANCE = 0.01
# e^20 is 5e8: a standard deviation of 22,000 where the prior's is 1.
LARGEST_LOG_VARIANCE = 20.0
FEWEST_WORDS = 0.1  # used, as a share of the codebook
_EPSILON = 1e-5


def deterministic(dim: int) -> None:
    """No latent: the code is what the encoder gives."""


class Gaussian(Latent):
    """q(z | x) = N(mean, diag(variance)); the encoder gives mean and ln(variance).

    In training z = mean + standard deviation * noise, with noise drawn for the step (Kingma &
    Welling 2014, Auto-encoding variational Bayes). The prior is N(0, 1).
    """

    kind = "gaussian"
    is_distribution = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inputs = 2 * dim

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        """Standard normal numbers [B, code_dim] for samples x [B, *shape]."""
        return torch.randn(len(x), code_dim, generator=noise, dtype=x.dtype)

    def moments(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logarithms of variances, [B, code_dim] each; not in half precision."""
        mean, log_variance = at_least_single(encoded).chunk(2, dim=1)
        return mean, log_variance

    def code(self, encoded: Tensor) -> Tensor:
        """The means [B, code_dim]."""
        return self.moments(encoded)[0]

    def forward(
        self, encoded: Tensor, drawn: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Samples of q(z | x) [B, code_dim]; without random numbers, the means."""
        mean, log_variance = self.moments(encoded)
        if drawn is None:
            return mean, {}, {}
        return mean + (log_variance / 2).exp() * drawn, {}, {}

    def figures(self, encoded: Tensor) -> dict[str, float]:
        """Active units, the divergence from the prior in nats a sample, the largest ln(variance).

        A unit is active where the variance of its mean over samples is above 0.01 (Burda et al.
        2016, Importance weighted autoencoders).
        """
        mean, log_variance = self.moments(encoded)
        spread = mean.var(0, correction=0)
        return {
            "active_units": float((spread > ACTIVE_VARIANCE).sum()),
            "units": float(mean.shape[1]),
            "kl": divergence(mean, log_variance).sum(1).mean().item(),
            "largest_log_variance": log_variance.max().item(),
        }

    def complaints(self, figures: Mapping[str, float], *, ended: bool) -> Iterator[str]:
        """Posterior collapse, and variances without bound."""
        if figures["largest_log_variance"] > LARGEST_LOG_VARIANCE:
            yield (
                f"the code's ln(variance) reaches {figures['largest_log_variance']:.3g}, and grows "
                "without bound: add regulariser=kl, which pulls it to 0, or take a smaller "
                "optimizer.lr or trainer.gradient_clip_val=1"
            )
        active, units = int(figures["active_units"]), int(figures["units"])
        if ended and active == 0:
            yield (
                f"posterior collapse: none of the code's {units} units says anything of the "
                "sample. Lower optimizer.lr, if the network has died of too large steps. Of "
                "regulariser=kl lower regulariser.kl.beta, let it warm up (regulariser.kl.warmup, "
                "in steps), or spare some nats of each unit (regulariser.kl.free_bits=0.1)"
            )


class Spherical(Latent):
    """Codes on the sphere of radius sqrt(code_dim), on which they are uniform if all is well.

    z = sqrt(d) (e + noise * n) / |e + noise * n|, n being normal numbers drawn for the step and e
    the encoding, brought to that sphere first; without `noise` the code is the same in training
    (Zhao et al. 2019, Latent variables on spheres for autoencoders in high dimensions). That radius
    gives each dimension a mean square of 1. Raises ConfigError for a negative noise.
    """

    kind = "spherical"

    def __init__(self, dim: int, *, noise: float) -> None:
        super().__init__()
        if not 0 <= noise < float("inf"):
            raise ConfigError(f"latent.noise={noise}: must be 0 or a positive number")
        if dim == 1:
            raise ConfigError(
                "latent=spherical: the sphere of encoding.dim=1 has two points, -1 and 1; give "
                "encoding.dim=2 or more, or choose another latent"
            )
        self.noise = noise

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        """Standard normal numbers [B, code_dim] for samples x [B, *shape]."""
        return torch.randn(len(x), code_dim, generator=noise, dtype=x.dtype)

    def code(self, encoded: Tensor) -> Tensor:
        """The points of the sphere [B, code_dim] in the encodings' directions."""
        return self.prior(at_least_single(encoded))

    def prior(self, normal: Tensor) -> Tensor:
        """Points of the sphere: uniform on it, of standard normal numbers [B, code_dim]."""
        return sqrt(normal.shape[1]) * F.normalize(normal, dim=1)

    def forward(
        self, encoded: Tensor, drawn: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Points of the sphere [B, code_dim], moved by the noise."""
        code = self.code(encoded)
        if drawn is None or not self.noise:
            return code, {}, {}
        return self.prior(code + self.noise * drawn), {}, {}


class VectorQuantised(Latent):
    """The code is cut into `parts` equal ones, and each is the nearest word of one codebook.

    The decoder's gradient goes to the encoder as if nothing had been rounded (van den Oord et al.
    2017, Neural discrete representation learning). The words follow the means of the encodings
    that are rounded to them: those of the last 1 / (1 - decay) steps (their appendix A.1); or with
    decay=null they train by gradient, of a term |sg(e) - word|^2, summed over the code, averaged
    over samples, divided by the features' number as the reconstruction is. `regulariser=commitment`
    keeps the encodings near the words. The first words are encodings of training samples.

    Raises ConfigError where the code cannot be cut so, and for numbers of no sense.
    """

    kind = "vq"
    counts: Tensor
    sums: Tensor
    words: Tensor

    def __init__(self, dim: int, *, words: int, parts: int, decay: float | None) -> None:
        super().__init__()
        if words < 2:
            raise ConfigError(f"latent.words={words}: must be a whole number of 2 or more")
        if parts < 1 or dim % parts:
            raise ConfigError(
                f"latent.parts={parts}: must divide the code's dimensions, encoding.dim={dim}"
            )
        if decay is not None and not 0 <= decay < 1:
            raise ConfigError(f"latent.decay={decay}: must be null, or at least 0 and less than 1")
        self.parts, self.decay = parts, decay
        first = torch.randn(words, dim // parts)
        self.register_buffer("counts", torch.ones(words))
        if decay is None:
            self.words = nn.Parameter(first)
            self.updated = ("counts",)
        else:
            self.register_buffer("words", first)
            self.register_buffer("sums", first.clone())
            self.updated = ("counts", "sums", "words")

    def _cut(self, encoded: Tensor) -> Tensor:
        return at_least_single(encoded).unflatten(1, (self.parts, -1))

    def nearest(self, encoded: Tensor) -> Tensor:
        """Which word each part is nearest to, as rows of 0 and one 1: [B, parts, words]."""
        cut = self._cut(encoded.detach())
        words = self.words.detach()
        distances = words.square().sum(1) - 2 * cut @ words.T  # but for |e|^2, the same for all
        # Not one_hot, which vmap refuses.
        numbers = torch.arange(len(words), device=words.device)
        return (distances.argmin(2)[..., None] == numbers).to(cut.dtype)

    def code(self, encoded: Tensor) -> Tensor:
        """The words nearest to encodings [B, code_dim]."""
        return (self.nearest(encoded) @ self.words).flatten(1)

    def forward(
        self, encoded: Tensor, drawn: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """The same, through which gradients pass; the codebook's term, and its new values."""
        encoded = at_least_single(encoded)
        chosen = self.nearest(encoded)
        rounded = (chosen @ self.words).flatten(1)
        passed = encoded + (rounded - encoded).detach()
        decay = _DECAY_OF_COUNTS if self.decay is None else self.decay
        counts = torch.lerp(chosen.sum((0, 1)), self.counts, decay)
        if self.decay is None:
            error = (rounded - encoded.detach()).square().sum(1).mean()
            return passed, {"codebook": error}, {"counts": counts}
        cut = self._cut(encoded.detach())
        found = torch.einsum("bpw,bpd->wd", chosen, cut)
        sums = torch.lerp(found, self.sums, decay)
        # Laplace's smoothing, so that a word nobody chooses stays finite.
        total = counts.sum()
        smoothed = (counts + _EPSILON) / (total + len(counts) * _EPSILON) * total
        moved = torch.where(counts[:, None] > _EPSILON, sums / smoothed[:, None], self.words)
        return passed, {}, {"counts": counts, "sums": sums, "words": moved}

    @torch.no_grad()
    def start(self, encoded: Tensor, noise: torch.Generator) -> None:
        """Take words from the parts of encodings [B, code_dim], which get a little noise."""
        cut = self._cut(encoded).flatten(0, 1)
        rows = torch.randint(len(cut), (len(self.words),), generator=noise)
        jitter = torch.randn(self.words.shape, generator=noise).to(cut)
        first = cut[rows.to(cut.device)] + 0.01 * cut.std() * jitter
        self.words.copy_(first)
        if self.decay is not None:
            self.sums.copy_(first)

    def figures(self, encoded: Tensor) -> dict[str, float]:
        """Perplexity of the words chosen, at most their number, and the share of words in use."""
        chosen = self.nearest(encoded).mean((0, 1))
        entropy = torch.special.entr(chosen).sum()
        return {
            "perplexity": entropy.exp().item(),
            "usage": (chosen > 0).float().mean().item(),
            "words": float(len(chosen)),
        }

    def complaints(self, figures: Mapping[str, float], *, ended: bool) -> Iterator[str]:
        """A codebook of which next to nothing is used."""
        if ended and (figures["usage"] < FEWEST_WORDS or figures["perplexity"] < 1.5):
            used = round(figures["usage"] * figures["words"])
            yield (
                f"dead codebook: {used} of its {figures['words']:.0f} words are used (perplexity "
                f"{figures['perplexity']:.3g}). Take fewer (latent.words) or more parts "
                "(latent.parts), let words follow faster (latent.decay=0.9), or keep the encodings "
                "near them (regulariser=commitment)"
            )


_DECAY_OF_COUNTS = 0.99  # of those that are kept beside words that train by gradient


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats, of each value [...]; Kingma & Welling 2014."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def at_least_single(values: Tensor) -> Tensor:
    """The values, not in half precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
