"""Principal component analysis: what the best linear autoencoder reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from activae.data.normalisation import Samples

ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class PCA:
    """Principal components of a training split, most variance first.

    mean [d], components [d, rank] with orthonormal columns and eigenvalues [rank] are float64, on
    the training split's GPU or else the CPU. eigenvalues[i] is the variance along component i
    (divisor N), so that the sum of those from k on is the training split's SE with k components. A
    linear autoencoder with k code units can reach that and no less (Baldi & Hornik 1989, Neural
    networks and principal component analysis: learning from examples without local minima).
    """

    mean: Tensor
    components: Tensor
    eigenvalues: Tensor

    @classmethod
    def fit(cls, x: Samples) -> PCA:
        """Fit on x [N, ...], flattened to d features.

        One symmetric eigenproblem in float64: of size d, or of size N with fewer samples than
        features. The products over samples, which cost most, are float32 on a CPU. Samples that
        stay on disk are read twice, part by part.
        """
        features = prod(x.shape[1:])
        if len(x) < features:
            return cls._fit_few(torch.cat(list(_parts(x))).double())
        # Added up at once: results kept between large temporaries would scatter memory.
        mean = torch.zeros(features, dtype=torch.float64, device=x.device if x.is_cuda else "cpu")
        for rows in _parts(x):
            mean += rows.double().sum(0)
        mean /= len(x)
        covariance = mean.new_zeros(features, features)
        for rows in _parts(x):
            wide = rows.to(_product_dtype(rows))
            centred = wide - mean.to(wide)
            covariance += centred.T @ centred
        eigenvalues, components = _leading(*torch.linalg.eigh(covariance / len(x)))
        return cls(mean, components, eigenvalues)

    @classmethod
    def _fit_few(cls, flat: Tensor) -> PCA:
        """Fit through the samples' inner products [N, N] (Turk & Pentland 1991, Eigenfaces)."""
        mean = flat.mean(0)
        centred = flat - mean
        eigenvalues, vectors = _leading(*torch.linalg.eigh(centred @ centred.T))
        return cls(mean, centred.T @ vectors / eigenvalues.sqrt(), eigenvalues / len(flat))

    def project(self, x: Tensor, dim: int) -> Tensor:
        """The first `dim` components [n, dim] of x [n, ...]; fewer where the rank is less."""
        flat = x.flatten(1).to(_product_dtype(x))
        return (flat - self.mean.to(flat)) @ self.components[:, :dim].to(flat)

    def reconstruct(self, x: Tensor, dim: int) -> Tensor:
        """Project x [n, ...] on the first `dim` components and back, in x's shape, dtype, device.

        From the rank of the training split on, more dimensions change nothing: along the others it
        held no variance, so that there is nothing to learn about them.
        """
        assert dim >= 0, dim
        flat = x.flatten(1).to(_product_dtype(x))
        mean = self.mean.to(flat)
        components = self.components[:, :dim].to(flat)
        projected = (flat - mean) @ components @ components.T + mean
        return projected.view(x.shape).to(x.dtype)


def _parts(x: Samples) -> Iterator[Tensor]:
    """All samples in parts, flattened: on a GPU or else the CPU."""
    for part in x.split(ROWS_AT_A_TIME):
        yield part.flatten(1) if x.is_cuda else part.flatten(1).cpu()  # others know no float64


def _product_dtype(x: Tensor) -> torch.dtype:
    # TF32 products on a GPU keep three digits; float64 costs little there.
    return torch.float64 if x.is_cuda else torch.promote_types(x.dtype, torch.float32)


def _leading(eigenvalues: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Sort descending and drop the null space, known by eigenvalues lost in rounding."""
    eigenvalues, vectors = eigenvalues.flip(0), vectors.flip(1)
    rounding = len(eigenvalues) * torch.finfo(torch.float64).eps
    rank = int((eigenvalues > rounding * eigenvalues[0].clamp(min=0)).sum())
    return eigenvalues[:rank], vectors[:, :rank]
