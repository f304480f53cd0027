"""A second variational autoencoder, on the codes of the first: two stages (Dai & Wipf 2019).

Diagnosing and enhancing VAE models, section 4: codes of the first fill their space, but are not
normal; a VAE of the same number of dimensions learns their distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from activae.errors import ConfigError, UserError
from activae.models.autoencoder import Autoencoder
from activae.models.densities.learning import Scale, haste, learn, whitened
from activae.models.initialisation import fitted
from activae.models.latents import Gaussian, divergence
from activae.models.mlp import MLPDecoder, MLPEncoder

_FIRST_NOISE = 0.1  # of white codes: with much, at the start, the latent is left unused for good


class SecondStage:
    """Codes [N, d] = decoder(u) + noise of one standard deviation, u being standard normal, [N, d].

    Its density has no closed form.
    """

    form: ClassVar[str] = "second_stage"

    def __init__(
        self,
        hidden: Sequence[int],
        mean: Tensor,
        factor: Tensor,
        noise: float,
        weights: dict[str, Tensor],
    ) -> None:
        if sum(hidden) > sum(value.numel() for value in weights.values()):
            raise ValueError("weights of another network")
        self.hidden, self.noise, self.scale = list(hidden), noise, Scale(mean, factor)
        with torch.random.fork_rng(devices=[]):  # layers draw weights, which are replaced
            self.decoder = _decoder(self.width, hidden)
        self.decoder.load_state_dict(weights)
        self.decoder.eval()

    def __str__(self) -> str:
        return f"a second VAE, of noise {self.noise:.3g}"

    @property
    def width(self) -> int:
        """d."""
        return len(self.scale.mean)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes [n, d], single precision."""
        u, noise = torch.randn(2, n, self.width, generator=generator)
        return self.scale.invert(self.decoder(u) + self.noise * noise)

    def log_prob(self, codes: Tensor) -> Tensor:
        """Raise UserError."""
        raise UserError(
            "sampler=two_stage: the density of a second VAE is not known in closed form; fit the "
            "sampler flow, gmm or kde"
        )

    def parts(self) -> dict[str, Any]:
        """Numbers, scale and the decoder's weights."""
        return {
            "hidden": self.hidden,
            "mean": self.scale.mean,
            "factor": self.scale.factor,
            "noise": self.noise,
            "weights": dict(self.decoder.state_dict()),
        }


def fit_second_stage(codes: Tensor, seed: int, hidden: Sequence[int]) -> SecondStage:
    """A VAE that maximises the evidence lower bound of codes [N, d].

    Its noise is learnt with it, as theirs is. Raises UserError as `whitened` does.
    """
    if not hidden or any(width < 1 for width in hidden):
        raise ConfigError(
            f"sampler.hidden={list(hidden)}: each width must be a whole number of 1 or more"
        )
    rows, scale = whitened(codes, seed)
    width = rows.shape[1]
    with torch.random.fork_rng(devices=[]):  # layers draw weights, which are replaced
        encoder = MLPEncoder((width,), 2 * width, hidden=hidden, activation=nn.ReLU)
        stage = _Stage(
            Autoencoder(encoder, _decoder(width, hidden), shape=(width,), latent=Gaussian(width)),
            haste(len(rows)),
        )
    fitted(stage.net, seed=seed)
    learn(stage, stage.loss, rows, seed)
    noise, weights = stage.log_noise.exp().item(), dict(stage.net.decoder.state_dict())
    return SecondStage(hidden, scale.mean, scale.factor, noise, weights)


class _Stage(nn.Module):
    """The second VAE while it learns, with the logarithm of its noise's standard deviation.

    haste: by how much that moves faster than the weights. Adam moves each number by about the rate
    a step, so that in few steps the noise would stay where it was, and what is drawn be sharp but
    wrong.
    """

    def __init__(self, net: Autoencoder, haste: float) -> None:
        super().__init__()
        self.net, self.haste = net, haste
        self.slow_log_noise = nn.Parameter(torch.tensor(log(_FIRST_NOISE) / haste))

    @property
    def log_noise(self) -> Tensor:
        """Of the standard deviation, a scalar."""
        return self.haste * self.slow_log_noise

    def loss(self, x: Tensor, noise: torch.Generator) -> Tensor:
        """The negative evidence lower bound, in nats a row, of white codes x [B, d]."""
        latent = self.net.latent
        assert isinstance(latent, Gaussian)
        encoded = self.net.encoded(x)
        code, _, _ = latent(encoded, latent.draw(x, x.shape[1], noise))
        errors = (x - self.net.decode(code)).square() * (-2 * self.log_noise).exp()
        likelihood = -errors / 2 - self.log_noise - log(2 * pi) / 2
        return (divergence(*latent.moments(encoded)).sum(1) - likelihood.sum(1)).mean()


def _decoder(width: int, hidden: Sequence[int]) -> nn.Module:
    return MLPDecoder(width, (width,), hidden=hidden, activation=nn.ReLU)
