"""Mixtures of normal distributions: to draw codes from, and to tell how likely a code is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import log, pi
from numbers import Integral
from typing import ClassVar

import torch
from torch import Tensor

from activae.config.wording import counted
from activae.errors import UserError

COMPONENTS = 10  # Ghosh et al. 2020, From variational to deterministic autoencoders, section 5
CANDIDATES = (1, 2, 3, 5, 10, 20, 40)  # numbers of components that BIC chooses from
MOST_NEIGHBOURS = 10_000  # codes that a kernel density keeps
FLOOR = 1e-6  # of the mean variance, added to each: a dimension that never varies has none
_ROWS = 1024  # whose densities are found at a time
_MOST_STEPS = 200  # of expectation maximisation


@dataclass(frozen=True, eq=False)
class Mixture:
    """K normal distributions in d dimensions, float64.

    log_weights [K]: logarithms of their shares; means [K, d]; factors [K, d, d], or [1, d, d] for
    all: lower triangular, factor @ factor.T being the covariance.
    """

    form: ClassVar[str] = "mixture"
    log_weights: Tensor
    means: Tensor
    factors: Tensor

    def __post_init__(self) -> None:
        """Raise ValueError where the shapes are none of a mixture."""
        (number,), width = self.log_weights.shape, self.width
        if self.means.shape != (number, width) or self.factors.shape[1:] != (width, width):
            raise ValueError("densities of another width")
        if len(self.factors) not in (1, number) or not number:
            raise ValueError("densities without a spread")

    def __str__(self) -> str:
        number = len(self.log_weights)
        return counted(number, "normal distribution")

    @property
    def width(self) -> int:
        """d."""
        return self.means.shape[-1]

    def parts(self) -> dict[str, Tensor]:
        """The three tensors."""
        return dict(vars(self))

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes [n, d], single precision."""
        weights = self.log_weights.exp()
        chosen = torch.multinomial(weights, n, replacement=True, generator=generator)
        normal = torch.randn(n, self.means.shape[1], generator=generator)
        means, factors = self.means.float(), self.factors.float()
        if len(factors) == 1:
            return torch.addmm(means[chosen], normal, factors[0].T)
        codes = torch.empty_like(normal)
        for number, factor in enumerate(factors):
            (rows,) = torch.nonzero(chosen == number, as_tuple=True)
            codes[rows] = torch.addmm(means[number], normal[rows], factor.T)
        return codes

    def log_prob(self, codes: Tensor) -> Tensor:
        """ln of the density at codes [N, d], in nats: [N], float64."""
        parts = [self._log_prob(part) for part in codes.double().split(_ROWS)]
        return torch.cat(parts) if parts else codes.new_empty(0, dtype=torch.float64)

    def _log_prob(self, codes: Tensor) -> Tensor:
        width = codes.shape[1]
        if len(self.factors) == 1:  # distances of what is whitened once
            white, centres = (
                torch.linalg.solve_triangular(self.factors[0], x.T, upper=False).T
                for x in (codes, self.means)
            )
            distances = torch.cdist(white, centres).square()
        else:
            differences = codes[None] - self.means[:, None]  # [K, N, d]
            white = torch.linalg.solve_triangular(self.factors, differences.mT, upper=False)
            distances = white.square().sum(1).T
        volume = self.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        each = self.log_weights - volume - distances / 2 - width * log(2 * pi) / 2
        return each.logsumexp(1)


def standard(width: int) -> Mixture:
    """The standard normal distribution."""
    means = torch.zeros(1, width, dtype=torch.float64)
    return Mixture(means.new_zeros(1), means, torch.eye(width).double()[None])


def gaussian(codes: Tensor) -> Mixture:
    """The normal distribution with the mean and covariance of codes [N, d].

    Raises UserError where all codes are equal, or there is one alone.
    """
    codes = usable(codes)
    mean = codes.mean(0, keepdim=True)
    return Mixture(codes.new_zeros(1), mean, factor_of(covariance(codes))[None])


def kernel_density(codes: Tensor, generator: torch.Generator) -> Mixture:
    """One normal distribution around each of codes [N, d], or of 10,000 of them drawn at random.

    Their covariance is that of all, times N ** (-2 / (d + 4)): Scott 1992, Multivariate density
    estimation, section 6.3. Raises UserError as `gaussian` does.
    """
    codes = usable(codes)
    kept = codes[torch.randperm(len(codes), generator=generator)[:MOST_NEIGHBOURS]]
    width = len(kept) ** (-1 / (codes.shape[1] + 4))
    weights = kept.new_full((len(kept),), -log(len(kept)))
    return Mixture(weights, kept, width * factor_of(covariance(codes))[None])


def gaussian_mixture(codes: Tensor, components: int | None, seed: int) -> tuple[Mixture, list[str]]:
    """Normal distributions with full covariances, by expectation maximisation, and notes on them.

    components: how many; None: as many of CANDIDATES as have the least BIC (Schwarz 1978). Raises
    UserError as `gaussian` does, and for fewer codes than components.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    codes = usable(codes)
    if components is not None and (not isinstance(components, Integral) or components < 1):
        raise UserError(f"components={components}: give a whole number of 1 or more")
    if components is not None and len(codes) < components:
        raise UserError(
            f"{len(codes)} codes are fewer than the {components} components of the mixture; give "
            "fewer components, or the sampler gaussian"
        )
    values, notes = codes.numpy(), []
    floor = FLOOR * codes.var(0, correction=0).mean().item()
    most = max(1, len(codes) // (codes.shape[1] + 1))  # with enough codes each for a covariance
    numbers = [components] if components else [n for n in CANDIDATES if n <= most]
    # On more threads BLAS waits, spinning, at each of many small products: 7 times the CPU time.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # told below, of the one taken
        tried = [
            GaussianMixture(n, reg_covar=floor, max_iter=_MOST_STEPS, random_state=seed).fit(values)
            for n in numbers
        ]
        best = tried[0] if len(tried) == 1 else min(tried, key=lambda each: each.bic(values))
    if not best.converged_:
        notes.append(f"the mixture had not converged after {_MOST_STEPS} steps")
    weights, means, covariances = (
        torch.from_numpy(each) for each in (best.weights_, best.means_, best.covariances_)
    )
    # A covariance of d dimensions takes d + 1 codes.
    collapsed = int((weights * len(codes) < codes.shape[1] + 1).sum())
    if collapsed and len(weights) > 1:
        few = f"{collapsed} of {len(weights)} components"
        if components is None:
            few = f"BIC chose {len(weights)} components, of which {collapsed}"
        holds = "hold" if collapsed > 1 else "holds"
        most = min(most, len(weights) - 1)
        notes.append(
            f"{few} {holds} fewer codes than the code has dimensions: what is drawn there repeats "
            f"training samples; give at most {counted(most, 'component')}"
        )
    factors = torch.linalg.cholesky(covariances)
    return Mixture(weights.log(), means, factors), notes


def usable(codes: Tensor) -> Tensor:
    """Codes in double precision. UserError where no density can be fitted to them."""
    codes = codes.double()
    if not codes.isfinite().all():
        raise UserError("the network's codes are not all finite: no sampler fits them")
    if len(codes) < 2:
        raise UserError(f"{len(codes)} codes are too few to have a spread; give 2 samples or more")
    if (codes == codes[:1]).all():
        raise UserError(
            "codes that are all equal have no spread to draw from: the network tells no two "
            "samples apart; train it for longer, at another rate, or with a weaker regulariser"
        )
    return codes


def covariance(codes: Tensor) -> Tensor:
    """That of codes [N, d]: [d, d]."""
    width = codes.shape[1]
    return torch.cov(codes.T, correction=1).reshape(width, width)


def factor_of(spread: Tensor) -> Tensor:
    """The lower triangular factor of a covariance [d, d], a little added to each variance."""
    floor = FLOOR * spread.diagonal().mean()
    factor: Tensor = torch.linalg.cholesky(spread + floor * torch.eye(len(spread)).double())
    return factor
