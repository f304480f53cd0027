"""How good reconstructions are: pure functions on tensors, and their sums over a split.

In: samples and reconstructions [n, ...] in the normalised range. Out: a score for each sample [n],
or the mean over a split, a float; None where a score does not apply.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from activae.errors import DataError

SAMPLES_AT_A_TIME = 256  # intermediate results stay in a core's cache
DISTANCE = "distance to the training mean"
FLOOR = "floor of the BCE"
# Keras's backend.epsilon(): a certain but wrong pixel costs 16.1 nats instead of infinitely many.
CLIP = 1e-7
BEYOND = 1e-6  # by how much rounding may take data out of [0, 1]


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
        found = {DISTANCE: torch.cat([squared_distance(part, mean) for part in parts])}
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
        terms = {"SE": squared_distance(x, reconstruction), DISTANCE: known[DISTANCE]}
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


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distance of each sample of x [n, ...] to y, which broadcasts: [n]."""
    return (x - y).square().flatten(1).sum(1)


def _at_least_single(x: Tensor) -> Tensor:
    """Half precision is widened: sums over hundreds of features would lose their digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def lies_in_unit_range(x: Tensor) -> bool:
    """Whether every value lies in [0, 1], but for the rounding of normalisation; NaN does not."""
    low, high = torch.aminmax(x)
    return bool((low >= -BEYOND) & (high <= 1 + BEYOND))


def bce_floor(x: Tensor) -> float:
    """Return the least BCE that any reconstruction of x [N, ...] can have, in nats per sample.

    It is the data's own entropy, -sum_j [x_j ln x_j + (1 - x_j) ln(1 - x_j)] averaged over samples,
    reached by reconstruction = x (the information inequality: Cover & Thomas, Elements of
    Information Theory, theorem 2.6.3). Zero for binary data.

    Raises DataError where x leaves [0, 1].
    """
    if not lies_in_unit_range(x):
        low, high = (value.item() for value in torch.aminmax(x))
        raise DataError(
            f"binary cross-entropy needs values in [0, 1], these lie in [{low:g}, {high:g}]: "
            "normalise the data to the unit range"
        )
    per_sample = [entropy(part) for part in x.split(256)]
    return torch.cat(per_sample).cpu().double().mean().item()


def bce_above_floor(x: Tensor, reconstruction: Tensor, floor: Tensor | None = None) -> Tensor:
    """Return each sample's BCE minus its floor, in nats [N]; x [N, ...] lies in [0, 1].

    Summed over features. The reconstruction is clipped to [1e-7, 1 - 1e-7] first, as Keras does, so
    that values outside (0, 1) give a finite score. The same number is the Kullback-Leibler
    divergence between Bernoulli variables with the means x and reconstruction. `floor` [N] is
    `entropy(x)`, where that is known.
    """
    p = reconstruction.clamp(CLIP, 1 - CLIP)
    nats = x * p.log() + (1 - x) * (1 - p).log()
    return -nats.flatten(1).sum(1) - (entropy(x) if floor is None else floor)


def entropy(x: Tensor) -> Tensor:
    """Return each sample's entropy in nats [N]: of Bernoulli variables with means x [N, ...]."""
    means = x.clamp(0, 1)
    return (torch.special.entr(means) + torch.special.entr(1 - means)).flatten(1).sum(1)


def structural_similarity(images: Tensor, others: Tensor, *, value_span: float) -> Tensor:
    """Return each image's mean SSIM with its counterpart: [n, C, H, W] twice -> [n], in [-1, 1].

    Wang, Bovik, Sheikh & Simoncelli 2004, Image quality assessment: from error visibility to
    structural similarity, eq. 13, with K1 = .01, K2 = .03 and L = value_span: a Gaussian window of
    11 x 11 and sigma 1.5 where images have 16 px or more on both sides, otherwise a uniform one of
    7 x 7 or the largest odd size that fits. Only windows wholly inside the image count, as in the
    paper; nothing is padded. Images need 3 px on both sides: see `has_window`.

    Both windows are separable, so each statistic is A x B^T with banded A and B: 45 times as fast
    on one core as torchmetrics' 11 x 11 convolution, and equal to its SSIM map without the border.
    """
    assert images.shape == others.shape, (images.shape, others.shape)
    assert images.ndim == 4, images.shape
    assert has_window(images), images.shape
    # TF32 products on a GPU would drown the variances in rounding: E[x^2] - E[x]^2 cancels.
    wide = torch.float64 if images.is_cuda else torch.promote_types(images.dtype, torch.float32)
    window = _window(min(images.shape[-2:])).to(images.device, wide)
    rows, columns = (_sliding(window, side) for side in images.shape[-2:])
    parts = zip(images.split(SAMPLES_AT_A_TIME), others.split(SAMPLES_AT_A_TIME), strict=True)
    ssim = [_ssim(x.to(wide), y.to(wide), rows, columns.T, value_span) for x, y in parts]
    return torch.cat(ssim).to(images.dtype)


def has_window(images: Tensor) -> bool:
    """Whether images [..., H, W] are large enough: a window of one pixel has no variance."""
    return min(images.shape[-2:]) >= 3


def _ssim(x: Tensor, y: Tensor, rows: Tensor, columns: Tensor, value_span: float) -> Tensor:
    # The denominator needs only the sum of the two variances, which saves one statistic of five.
    moments = torch.cat((x, y, x * x + y * y, x * y))
    statistics = rows @ (moments @ columns)  # columns first: one matrix product for all images
    mean_x, mean_y, mean_squares, mean_product = statistics.chunk(4)
    c1, c2 = (0.01 * value_span) ** 2, (0.03 * value_span) ** 2
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = mean_product - product
    variances = (mean_squares - squares).clamp(min=0)
    ssim = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return ssim.flatten(1).mean(1)


def _window(side: int) -> Tensor:
    """One side of the separable window for images whose shorter side is `side`; sums to 1."""
    if side >= 16:
        offsets = torch.arange(-5, 6, dtype=torch.float64)
        weights = (-(offsets**2) / (2 * 1.5**2)).exp()
    else:
        weights = torch.ones(min(7, side - 1 + side % 2), dtype=torch.float64)
    return weights / weights.sum()


def _sliding(window: Tensor, side: int) -> Tensor:
    """Return the matrix [positions, side] whose rows are the window at each place it fits."""
    positions = side - len(window) + 1
    offsets = torch.arange(side).sub(torch.arange(positions)[:, None]).to(window.device)
    inside = (offsets >= 0) & (offsets < len(window))
    return window[offsets.clamp(0, len(window) - 1)] * inside
