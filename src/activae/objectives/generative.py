"""Regularisers of generative autoencoders: what makes codes follow a prior, or decoders smooth.

All stand on the reconstruction's own scale. That is a mean over the D values of a sample, so each
penalty is summed over the code, averaged over samples, and divided by D: with the weight 1 beside a
likelihood in nats, the loss is the negative evidence lower bound, in nats a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, log, pi

import torch
from torch import Tensor, nn
from torch.func import vjp
from torch.nn import functional as F

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.models.latents import divergence
from activae.objectives.declared import Player
from activae.objectives.regularisers import Regulariser
from activae.objectives.seen import training_code

# Of the inverse multiquadric's width, as in the code of Tolstikhin et al. 2018.
_WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_PAIRED_AT_MOST = 1024  # rows: a validation of 4096 would pair 16 million
_POWER_STEPS = 8  # towards the largest singular value


@dataclass(frozen=True)
class WarmUp:
    """A strength that grows linearly from 0 at step 0 to its full value, which it then keeps."""

    full: float
    steps: int

    def __call__(self, step: int) -> float:
        """The strength at a step, counted from 0."""
        return self.full * min(1.0, step / self.steps)


class KL(Regulariser):
    """KL(q(z | x) || N(0, 1)), which makes an autoencoder with latent=gaussian a VAE.

    beta * sum_j KL_j / D (Kingma & Welling 2014; beta: Higgins et al. 2017, beta-VAE). In the first
    `warmup` steps the weight grows from 0 to beta (Sonderby et al. 2016). `free_bits`: so many nats
    of each code dimension cost nothing, sum_j max(free_bits, mean over the batch of KL_j) (Kingma
    et al. 2016, Improved variational inference with inverse autoregressive flow, appendix C).
    `sampled`: ln q(z | x) - ln p(z) at the code that is decoded, in the place of the closed form.

    Raises ConfigError for numbers of no sense, and for a latent that is no distribution.
    """

    needs = "gaussian"

    def __init__(
        self, beta: float, warmup: int = 0, free_bits: float = 0.0, sampled: bool = False
    ) -> None:
        for key, value in (("beta", beta), ("warmup", warmup), ("free_bits", free_bits)):
            if not 0 <= value < inf:
                raise ConfigError(f"regulariser.kl.{key}={value}: must be 0 or a positive number")
        super().__init__("kl", WarmUp(beta, warmup) if beta and warmup else beta)
        self.free_bits, self.sampled = free_bits, sampled
        self.of_batch = free_bits > 0

    def check(self, net: Autoencoder) -> None:
        """Raise ConfigError unless a code is a distribution."""
        refuse_unless_distribution(net, "regulariser=kl")

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The divergence, a scalar, at inputs x [B, *shape]."""
        mean, log_variance = moments_of(net, x)
        if self.sampled:
            z = training_code(net, x)
            each = log_normal(z, mean, log_variance) - log_normal(z)
        else:
            each = divergence(mean, log_variance)
        if self.free_bits:
            return each.mean(0).clamp_min(self.free_bits).sum() / x[0].numel()
        return each.sum(1).mean() / x[0].numel()


class TotalCorrelation(Regulariser):
    """KL(q(z) || prod_j q(z_j)): codes whose dimensions are independent (beta-TC-VAE).

    Beside regulariser=kl with beta=1 this is Chen et al. 2018, Isolating sources of disentanglement
    in VAEs, with alpha = gamma = 1 and their beta = 1 + weight. q(z) is that of the batch: their
    minibatch-weighted sampling, but for a constant that no gradient sees. Raises ConfigError for a
    latent that is no distribution, and for a code of one dimension.
    """

    of_batch = True
    needs = "gaussian"

    def __init__(self, weight: float) -> None:
        super().__init__("tc", weight)

    def check(self, net: Autoencoder) -> None:
        """Raise ConfigError unless a code is a distribution of two dimensions or more."""
        refuse_unless_distribution(net, "regulariser=tc")
        assert net.latent is not None
        if net.latent.inputs == 2:
            raise ConfigError(
                "regulariser=tc: makes the code's dimensions independent of each other, and "
                "encoding.dim=1 has one; give more, or leave the regulariser out"
            )

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The estimate, a scalar, at inputs x [B, *shape]."""
        mean, log_variance = moments_of(net, x)
        return in_pieces(_dependence, training_code(net, x), mean, log_variance) / x[0].numel()


class MMD(Regulariser):
    """Maximum mean discrepancy between codes and samples of the prior: Wasserstein autoencoders.

    The unbiased estimate with k(a, b) = sum over s of C / (C + |a - b|^2), C = 2 d s, where s is
    0.1, 0.2, 0.5, 1, 2, 5, 10 (Tolstikhin et al. 2018, Wasserstein auto-encoders, algorithm 2). Any
    latent but vq has a prior: N(0, 1), or the uniform one on the sphere.
    """

    of_batch = True

    def __init__(self, weight: float) -> None:
        super().__init__("mmd", weight)

    def check(self, net: Autoencoder) -> None:
        """Raise ConfigError for codes that have no prior."""
        refuse_words(net, "regulariser=mmd")

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        """Standard normal numbers [B, code_dim]."""
        return torch.randn(len(x), code_dim, generator=noise, dtype=x.dtype)

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None) -> Tensor:
        """The estimate, a scalar, at inputs x [B, *shape]; drawn [B, code_dim]."""
        assert drawn is not None
        code = training_code(net, x)
        wanted = prior_of(net, drawn.to(code.dtype))
        return in_pieces(discrepancy, code, wanted) / x[0].numel()


class CodeAndDecoder(Regulariser):
    """Regularised autoencoders: small codes and a smooth decoder, and no noise (RAE).

    weight * (|z|^2 / 2 + decoder * R) / D (Ghosh et al. 2020, From variational to deterministic
    autoencoders). R is what the subclasses say.
    """

    def __init__(self, name: str, weight: float, decoder: float) -> None:
        super().__init__(name, weight)
        if not 0 <= decoder < inf:
            raise ConfigError(
                f"regulariser.{name}.decoder={decoder}: must be 0 or a positive number"
            )
        self.decoder = decoder

    def smoothness(self, net: Autoencoder, code: Tensor, drawn: Tensor | None) -> Tensor:
        """R, a scalar."""
        raise NotImplementedError

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]."""
        code = training_code(net, x)
        found = code.square().sum(1).mean() / 2
        if self.decoder:
            found = found + self.decoder * self.smoothness(net, code, drawn)
        return found / x[0].numel()


class RAEWeights(CodeAndDecoder):
    """R = the sum of the decoder's squared weights, biases left out (RAE-L2)."""

    def __init__(self, weight: float, decoder: float) -> None:
        super().__init__("rae_l2", weight, decoder)

    def smoothness(self, net: Autoencoder, code: Tensor, drawn: Tensor | None) -> Tensor:
        """R, a scalar."""
        return torch.stack([weight.square().sum() for weight in decoder_weights(net)]).sum()


class RAEGradient(CodeAndDecoder):
    """R = the mean over samples of ||d decoder / dz||_F^2 (RAE-GP), before the output activation.

    An unbiased estimate by a random probe (Hutchinson 1990): a backward pass through the decoder.
    """

    def __init__(self, weight: float, decoder: float) -> None:
        super().__init__("rae_gp", weight, decoder)

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        """Standard normal numbers [B, values], of which an output takes as many as it has."""
        return torch.randn(len(x), 2 * x[0].numel(), generator=noise, dtype=x.dtype)

    def smoothness(self, net: Autoencoder, code: Tensor, drawn: Tensor | None) -> Tensor:
        """R, a scalar."""
        assert drawn is not None
        outputs, pull_back = vjp(net.logits_of, code)[:2]
        probes = drawn[:, : outputs[0].numel()].reshape(outputs.shape).to(outputs.dtype)
        (slopes,) = pull_back(probes)
        found: Tensor = slopes.square().sum() / len(code)
        return found


class RAESpectral(CodeAndDecoder):
    """R = the sum over the decoder's layers of their squared largest singular value (RAE-SN).

    As a penalty (Yoshida & Miyato 2017), where Ghosh et al. divide by it: the weights stay those of
    the network. It is found by power iteration from the largest row; a kernel counts as a matrix
    whose rows are its first dimension.
    """

    def __init__(self, weight: float, decoder: float) -> None:
        super().__init__("rae_sn", weight, decoder)

    def smoothness(self, net: Autoencoder, code: Tensor, drawn: Tensor | None) -> Tensor:
        """R, a scalar."""
        return torch.stack([largest_singular_value(w) ** 2 for w in decoder_weights(net)]).sum()


class Commitment(Regulariser):
    """Keeps encodings near the words of latent=vq: |e - sg(word)|^2, summed over the code, / D.

    Van den Oord et al. 2017, whose weight is 0.25. Raises ConfigError for another latent.
    """

    needs = "vq"

    def __init__(self, weight: float) -> None:
        super().__init__("commitment", weight)

    def check(self, net: Autoencoder) -> None:
        """Raise ConfigError unless codes are made of words."""
        if net.latent is None or net.latent.kind != "vq":
            raise ConfigError(
                "regulariser=commitment: keeps encodings near the words of a codebook, and "
                f"{_named(net)} has none; choose latent=vq, or leave the regulariser out"
            )

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]."""
        words = net.encode(x).detach()
        return (net.encoded(x) - words).square().sum(1).mean() / x[0].numel()


class Adversarial(Regulariser):
    """Codes that a critic cannot tell from samples of the prior (adversarial autoencoders).

    The critic is a network of `hidden` layers with LeakyReLU that learns in turn with the
    autoencoder, by Adam with `lr` times the schedule: it minimises -ln C(prior) - ln(1 - C(code)).
    The autoencoder minimises -ln C(code), C being the critic's probability that a code is from the
    prior (Makhzani et al. 2016, Adversarial autoencoders; Goodfellow et al. 2014).
    """

    def __init__(self, weight: float, hidden: list[int], lr: float) -> None:
        super().__init__("adversarial", weight)
        if not hidden or any(width < 1 for width in hidden):
            raise ConfigError(
                f"regulariser.adversarial.hidden={hidden}: each width must be 1 or more"
            )
        if not 0 < lr < inf:
            raise ConfigError(f"regulariser.adversarial.lr={lr}: must be a number greater than 0")
        self.hidden, self.lr = hidden, lr
        self.player: Player | None = None

    def check(self, net: Autoencoder) -> None:
        """Raise ConfigError for codes that have no prior."""
        refuse_words(net, "regulariser=adversarial")

    def start(self, net: Autoencoder, code_dim: int, noise: torch.Generator) -> None:
        """Make the critic, with weights as torch draws them by default."""
        like = next(net.parameters())
        layers: list[nn.Module] = []
        for width in self.hidden:
            layers += [nn.Linear(code_dim, width), nn.LeakyReLU(0.2)]
            code_dim = width
        critic = nn.Sequential(*layers, nn.Linear(code_dim, 1)).to(like)
        with torch.no_grad():
            for parameter in critic.parameters():
                bound = parameter.shape[-1] ** -0.5
                drawn = torch.rand(parameter.shape, generator=noise)
                parameter.copy_((2 * drawn - 1) * bound)
        self.player = Player(critic, self.play, self.optimizer)

    def optimizer(self, parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
        """The critic's; beta_1 = 0.5 as is usual for those that play (Radford et al. 2016)."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=(0.5, 0.999))

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        """Standard normal numbers [B, code_dim]."""
        return torch.randn(len(x), code_dim, generator=noise, dtype=x.dtype)

    def play(self, critic: nn.Module, net: Autoencoder, batch: Mapping[str, Tensor]) -> Tensor:
        """What the critic minimises."""
        seen = batch.get("seen", batch["x"])
        codes = net.encode(seen).detach()
        real = critic(prior_of(net, batch["adversarial"].to(codes.dtype)))
        return F.softplus(-real).mean() + F.softplus(critic(codes)).mean()

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """What the autoencoder minimises, a scalar, at inputs x [B, *shape]."""
        assert self.player is not None
        return F.softplus(-self.player.module(training_code(net, x))).mean() / x[0].numel()

    def figures(self, net: Autoencoder, x: Tensor) -> dict[str, float]:
        """The probability that the critic gives to samples of the prior, and to codes."""
        assert self.player is not None
        critic, code = self.player.module, net.encode(x)
        normal = torch.randn(code.shape, generator=torch.Generator().manual_seed(0)).to(code)
        return {
            "of_prior": critic(prior_of(net, normal)).sigmoid().mean().item(),
            "of_code": critic(code).sigmoid().mean().item(),
        }

    def complaints(self, figures: Mapping[str, float], *, ended: bool) -> Iterator[str]:
        """A critic that wins or loses outright."""
        of_prior, of_code = figures["of_prior"], figures["of_code"]
        shown = f"it gives the prior {of_prior:.2f} and codes {of_code:.2f}"
        if ended and of_prior > 0.95 and of_code < 0.05:
            yield (
                f"the critic wins outright ({shown}), so that codes learn nothing from it. Lower "
                "regulariser.adversarial.lr, or raise regulariser.adversarial.weight"
            )
        elif ended and of_code - of_prior > 0.2:
            yield (
                f"the critic loses outright ({shown}), so that it teaches nothing. Raise "
                "regulariser.adversarial.lr, or widen its layers (regulariser.adversarial.hidden)"
            )


def moments_of(net: Autoencoder, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and ln(variance) of q(z | x), [B, code_dim] each."""
    moments: tuple[Tensor, Tensor] = net.latent.moments(net.encoded(x))  # type: ignore[union-attr, operator]
    return moments


def log_normal(z: Tensor, mean: Tensor | float = 0.0, log_variance: Tensor | None = None) -> Tensor:
    """ln N(z; mean, variance) of each value; the variance is 1 where it is left out."""
    squares = (z - mean).square()
    if log_variance is None:
        return -0.5 * (squares + log(2 * pi))
    return -0.5 * (squares * (-log_variance).exp() + log_variance + log(2 * pi))


def prior_of(net: Autoencoder, normal: Tensor) -> Tensor:
    """Samples of the prior of the network's codes, of standard normal numbers [B, code_dim]."""
    return normal if net.latent is None else net.latent.prior(normal)


def in_pieces(estimate: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """An estimate from all pairs of rows; of very many, its mean over pieces of some hundreds."""
    size = len(rows[0])
    if size <= _PAIRED_AT_MOST:
        return estimate(*rows)
    pieces = [each.split(_PAIRED_AT_MOST // 2) for each in rows]
    found = [estimate(*part) * (len(part[0]) / size) for part in zip(*pieces, strict=True)]
    return torch.stack(found).sum()


def _dependence(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Of samples z [n, d] of n normal distributions, whose mixture stands for q(z)."""
    each = log_normal(z[:, None], mean[None], log_variance[None])  # [n, n, d]
    size = log(len(z))
    together = each.sum(2).logsumexp(1) - size
    apart = (each.logsumexp(1) - size).sum(1)
    return (together - apart).mean()


def discrepancy(a: Tensor, b: Tensor) -> Tensor:
    """The squared maximum mean discrepancy of samples a and b [n, d], without bias."""
    n, d = a.shape
    apart = 1 - torch.eye(n, dtype=a.dtype, device=a.device)
    pairs = max(1, n * (n - 1))
    within = ((_kernel(a, a, d) + _kernel(b, b, d)) * apart).sum() / pairs
    return within - 2 * _kernel(a, b, d).mean()


def _kernel(a: Tensor, b: Tensor, d: int) -> Tensor:
    squares = (a[:, None] - b[None]).square().sum(2)
    return torch.stack([2 * d * s / (2 * d * s + squares) for s in _WIDTHS]).sum(0)


def decoder_weights(net: Autoencoder) -> list[Tensor]:
    """The weights of the decoder's layers."""
    return [weight for name, weight in net.weights() if name.startswith("decoder.")]


def largest_singular_value(weight: Tensor) -> Tensor:
    """That of a matrix, or of a kernel taken as one: by power iteration from its largest row."""
    matrix = weight.flatten(1)
    with torch.no_grad():
        rows = torch.arange(len(matrix), device=matrix.device)
        largest = (matrix.square().sum(1).argmax() == rows).to(matrix.dtype)
        right = F.normalize(largest @ matrix, dim=0)
        left = F.normalize(matrix @ right, dim=0)
        for _ in range(_POWER_STEPS):
            right = F.normalize(left @ matrix, dim=0)
            left = F.normalize(matrix @ right, dim=0)
    return left @ matrix @ right


def refuse_unless_distribution(
    net: Autoencoder, what: str, otherwise: str = "leave it out"
) -> None:
    """Raise ConfigError unless the network's code is a distribution."""
    if net.latent is None or not net.latent.is_distribution:
        raise ConfigError(
            f"{what}: takes the code of a sample for a distribution, and that of {_named(net)} is "
            f"none; choose latent=gaussian, or {otherwise}"
        )


def refuse_words(net: Autoencoder, what: str) -> None:
    """Raise ConfigError where codes are words of a codebook, which have no prior."""
    if net.latent is not None and net.latent.kind == "vq":
        raise ConfigError(
            f"{what}: compares codes with samples of a prior, and the words of latent=vq have "
            "none; choose another latent, or leave the regulariser out"
        )


def _named(net: Autoencoder) -> str:
    return f"latent={net.latent.kind if net.latent is not None else 'deterministic'}"
