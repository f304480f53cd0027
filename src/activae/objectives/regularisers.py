"""Penalties on the code, which can be added to any objective: (autoencoder, input) -> a scalar.

The input [B, *shape] is what the encoder sees: with a `corruption`, the corrupted sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from math import isfinite

import torch
from torch import Tensor
from torch.func import vjp, vmap

from activae.activations import output_range
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.declared import Draw, Strength

PullBack = Callable[[Tensor], tuple[Tensor, ...]]

_VALUES_AT_ONCE = 2**24  # of a Jacobian; 64 MB in float32
_SMALLEST_ACTIVITY = 1e-6  # of a unit that is silent for a whole batch, whose logarithm is taken


class Regulariser(ABC):
    """A penalty on the code, which is added to the loss `weight` times; 0 leaves it out.

    A weight may be a function of the step (from 0). Raises ConfigError for a negative weight.
    """

    of_batch = False  # whether it is one of the batch as a whole, not the mean of its samples'
    draw: Draw | None = None  # the random numbers that it needs at each step
    needs = ""  # the latent without which it makes no sense, if it needs one

    def __init__(self, name: str, weight: Strength) -> None:
        if not callable(weight) and not 0 <= weight < float("inf"):
            raise ConfigError(f"regulariser.{name}.weight={weight}: must be 0 or a positive number")
        self.weight = weight

    def check(self, net: Autoencoder) -> None:  # noqa: B027 (most suit any network)
        """Raise ConfigError if it cannot penalise the code of this network."""

    def start(self, net: Autoencoder, code_dim: int, noise: torch.Generator) -> None:  # noqa: B027
        """Make what trains beside the network, with weights drawn from the generator."""

    def figures(self, net: Autoencoder, x: Tensor) -> dict[str, float]:
        """What tells how it fares, of unseen samples x [B, *shape]."""
        return {}

    def complaints(self, figures: Mapping[str, float], *, ended: bool) -> Iterator[str]:
        """What these figures show to be wrong, and what mends it; `ended`: after the last step."""
        yield from ()

    @abstractmethod
    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]; `drawn` [B, ...] is what `draw` gave.

        Must be a pure function of its arguments: it runs compiled and vectorised over networks.
        """


class CodeL1(Regulariser):
    """Sparse codes: mean over samples of sum_j |h_j|, h being the code (Olshausen & Field 1996)."""

    def __init__(self, weight: float) -> None:
        super().__init__("code_l1", weight)

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]."""
        return net.encode(x).abs().sum(1).mean()


class KLSparse(Regulariser):
    """Sum over code units of KL(Bernoulli(rho) || Bernoulli(rho_j)) (Ng 2011, Sparse autoencoder).

    rho is the wanted `activity`, rho_j that of unit j: its mean over the batch. A code with other
    bounds than 0 and 1, such as tanh's, is moved to [0, 1] first. The mean being the batch's, the
    loss of a batch is not the mean of its samples'. Raises ConfigError unless 0 < activity < 1.
    """

    of_batch = True

    def __init__(self, weight: float, activity: float) -> None:
        super().__init__("kl_sparse", weight)
        if not 0 < activity < 1:
            raise ConfigError(
                f"regulariser.kl_sparse.activity={activity}: must be greater than 0 and less than 1"
            )
        self.activity = activity
        self.bounds = (0.0, 1.0)

    def check(self, net: Autoencoder) -> None:
        """Note the code's bounds; raise ConfigError where it has none."""
        low, high = output_range(net.code_activation)
        if not (isfinite(low) and isfinite(high)):
            raise ConfigError(
                "regulariser=kl_sparse: takes the mean of a code unit for how often it is active, "
                f"and the code lies in [{low:.4g}, {high:.4g}]; use "
                "activation@encoding.activation=sigmoid"
            )
        self.bounds = (low, high)

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]."""
        low, high = self.bounds
        mean = ((net.encode(x).mean(0) - low) / (high - low)).clamp(
            _SMALLEST_ACTIVITY, 1 - _SMALLEST_ACTIVITY
        )
        on = self.activity * (self.activity / mean).log()
        off = (1 - self.activity) * ((1 - self.activity) / (1 - mean)).log()
        return (on + off).sum()


class Contractive(Regulariser):
    """Mean over samples of ||dh/dx||_F^2, h being the code: exactly (Rifai et al. 2011).

    Takes a backward pass through the encoder for each dimension of the code. Samples must not
    depend on each other: under batch normalisation the derivative is that of the batch's codes.
    """

    def __init__(self, weight: float) -> None:
        super().__init__("contractive", weight)

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The penalty, a scalar, at inputs x [B, *shape]."""
        code, pull_back = _linearised(net, x)
        rows = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
        every = rows[:, None].expand(len(rows), *code.shape)
        return _squares(pull_back, every, x.numel()) / len(x)


class HutchinsonContractive(Regulariser):
    """An unbiased estimate of `Contractive`: E ||v^T dh/dx||^2 = ||dh/dx||_F^2 for v ~ N(0, 1).

    Takes `probes` backward passes through the encoder, however many dimensions the code has
    (Hutchinson 1990). Raises ConfigError unless they are 1 or more.
    """

    def __init__(self, weight: float, probes: int) -> None:
        super().__init__("contractive_hutchinson", weight)
        if probes < 1:
            raise ConfigError(
                f"regulariser.contractive_hutchinson.probes={probes}: must be a whole number of 1 "
                "or more"
            )
        self.probes = probes

    def draw(self, x: Tensor, code_dim: int, noise: torch.Generator) -> Tensor:
        """Probes [B, n, code_dim] for samples x [B, *shape]."""
        return torch.randn(len(x), self.probes, code_dim, generator=noise, dtype=x.dtype)

    def __call__(self, net: Autoencoder, x: Tensor, drawn: Tensor | None) -> Tensor:
        """The estimate, a scalar, at inputs x [B, *shape] with probes [B, n, code_dim]."""
        assert drawn is not None
        _, pull_back = _linearised(net, x)
        return _squares(pull_back, drawn.movedim(1, 0), x.numel()) / (drawn.shape[1] * len(x))


def _linearised(net: Autoencoder, x: Tensor) -> tuple[Tensor, PullBack]:
    """The codes [B, code_dim], and what pulls vectors of their shape back to the inputs'."""
    code, pull_back = vjp(net.encode, x)[:2]
    return code, pull_back


def _squares(pull_back: PullBack, rows: Tensor, values: int) -> Tensor:
    """The sum of ||r^T J||^2 over rows r [n, B, code_dim]; each product has so many `values`."""

    def of_row(row: Tensor) -> Tensor:
        (slopes,) = pull_back(row)
        squares: Tensor = slopes.square().sum()
        return squares

    at_once = max(1, _VALUES_AT_ONCE // values)
    found: Tensor = vmap(of_row, chunk_size=at_once if at_once < len(rows) else None)(rows)
    return found.sum()
