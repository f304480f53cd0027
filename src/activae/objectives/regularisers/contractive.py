"""Codes that change little with their input (Rifai et al. 2011)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import vjp, vmap

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.regularisers.regulariser import Regulariser

PullBack = Callable[[Tensor], tuple[Tensor, ...]]

_VALUES_AT_ONCE = 2**24  # of a Jacobian; 64 MB in float32


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
