"""Scores of reconstructions, gathered batch by batch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from activae.results.scoring.cross_entropy import bce_above_floor, entropy, lies_in_unit_range
from activae.results.scoring.similarity import has_window, structural_similarity

SAMPLES_AT_A_TIME = 256  # intermediate results stay in a core's cache
DISTANCE = "distance to the training mean"
FLOOR = "floor of the BCE"


class ReconstructionScores:
    """Scores over a split, fed batch by batch; every sample weighs the same.

    train_mean [...] is the mean of the *training* split, value_span the peak-to-peak span of the
    normalised data, is_image says that samples are [C, H, W]. Sums are kept in float64.
    """

    def __init__(self, *, train_mean: Tensor, value_span: float, is_image: bool) -> None:
        assert value_span > 0, value_span
        self.train_mean = train_mean
        self.value_span = value_span
        self.is_image = is_image
        self._count = 0
        self._unit_range = True
        self._sums: dict[str, float] = {}

    def known(self, x: Tensor) -> dict[str, Tensor]:
        """What `update` computes of x [n, ...] alone, [n] each: to be handed to it every time."""
        parts = [_at_least_single(part) for part in x.split(SAMPLES_AT_A_TIME)]
        mean = self.train_mean.to(parts[0])
        found = {DISTANCE: torch.cat([_squared_distance(part, mean) for part in parts])}
        if lies_in_unit_range(x):
            found[FLOOR] = torch.cat([entropy(part) for part in parts])
        return found

    def update(
        self, x: Tensor, reconstruction: Tensor, known: Mapping[str, Tensor] | None = None
    ) -> None:
        """Add a batch: x and its reconstruction, both [n, ...], on one device; `known` of x."""
        assert x.shape == reconstruction.shape, (x.shape, reconstruction.shape)
        assert x.shape[1:] == self.train_mean.shape, (x.shape, self.train_mean.shape)
        known = self.known(x) if known is None else known
        self._unit_range = self._unit_range and FLOOR in known
        for first in range(0, len(x), SAMPLES_AT_A_TIME):
            rows = slice(first, first + SAMPLES_AT_A_TIME)
            terms = self._terms(
                _at_least_single(x[rows]),
                _at_least_single(reconstruction[rows]),
                {name: value[rows] for name, value in known.items()},
            )
            sums = torch.stack(list(terms.values())).cpu().double().sum(1).tolist()
            for name, value in zip(terms, sums, strict=True):
                self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += len(x)

    def _terms(
        self, x: Tensor, reconstruction: Tensor, known: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Everything that is summed over samples, for each of them: name -> [n]."""
        terms = {"SE": _squared_distance(x, reconstruction), DISTANCE: known[DISTANCE]}
        if self._unit_range:
            terms["BCE"] = bce_above_floor(x, reconstruction, known[FLOOR])
        if self.is_image and has_window(x):
            terms["SSIM"] = structural_similarity(reconstruction, x, value_span=self.value_span)
        return terms

    def compute(self) -> dict[str, float | None]:
        """Return the scores over all that was added; None where one does not apply.

        SE: squared error summed over features, averaged over samples.
        MSE: squared error averaged over both.
        BCE: binary cross-entropy above its floor in nats per sample (`bce_above_floor`: clipped to
          [1e-7, 1 - 1e-7]); None unless all of x lies in [0, 1].
        PSNR: 10 log10(value_span^2 / MSE) in dB; infinite where MSE is 0.
        SSIM: mean structural similarity (`structural_similarity`); None for vectors and for
          images below 3 px.
        explained_variance: 1 - SE / mean squared distance to the training mean; 1 is perfect, 0 is
          what the training mean scores; None where the split equals the training mean.

        A reconstruction that is not finite gives scores that are NaN or infinite, never an error.
        """
        assert self._count > 0, "no batch was added"
        means = {name: total / self._count for name, total in self._sums.items()}
        se, distance = means["SE"], means[DISTANCE]
        mse = se / self.train_mean.numel()
        return {
            "SE": se,
            "MSE": mse,
            "BCE": means.get("BCE") if self._unit_range else None,
            "PSNR": 20 * math.log10(self.value_span) - 10 * math.log10(mse) if mse else math.inf,
            "SSIM": means.get("SSIM"),
            "explained_variance": 1 - se / distance if distance else None,
        }


def reconstruction_scores(
    x: Tensor, reconstruction: Tensor, *, train_mean: Tensor, value_span: float, is_image: bool
) -> dict[str, float | None]:
    """Score a whole split [N, ...] at once; see ReconstructionScores."""
    scores = ReconstructionScores(train_mean=train_mean, value_span=value_span, is_image=is_image)
    scores.update(x, reconstruction)
    return scores.compute()


def _squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distance of each sample of x [n, ...] to y, which broadcasts: [n]."""
    return (x - y).square().flatten(1).sum(1)


def _at_least_single(x: Tensor) -> Tensor:
    """Half precision is widened: sums over hundreds of features would lose their digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
