"""What a data set is before it is split and normalised, and the checks that every one passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activae.errors import DataError

if TYPE_CHECKING:
    from activae.data.preparation import Preparation

# Data that fill less of their declared range than this would give nearly constant targets.
SMALLEST_SHARE_OF_RANGE = 0.02
# In [0, 1] although the declared range is this wide: divided already, not merely dark.
FAR_WIDER_THAN_ONE = 10.0
# A float32 sample may lie this share of the range outside it: 0.1 is 0.100000001 in float32.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Source:
    """Raw samples as tensors, one per row, still on the scale they were recorded on.

    Attributes:
        name: what messages call the data set.
        train: `[N, features]` vectors or `[N, C, H, W]` images of any real dtype.
        train_labels: `[N]` int64 class indices; they colour plots and are never trained on.
        test: `[M, ...]` samples of the same shape; None where a seeded split makes the test set.
        test_labels: `[M]` int64.
        value_range: the smallest and the largest value the data can take, such as (0, 255);
            None where nobody declared it.
        class_names: the name of each label.
        note: what the user should know before training on it.
        preparation: what made the samples from rows of another kind, such as texts; None where
            they came as numbers.

    Raises:
        DataError: too few samples, values that are not finite, constant data, shapes that
            disagree, or values that contradict the declared range.
    """

    name: str
    train: Tensor
    train_labels: Tensor | None = None
    test: Tensor | None = None
    test_labels: Tensor | None = None
    value_range: tuple[float, float] | None = None
    class_names: tuple[str, ...] | None = None
    note: str = ""
    preparation: Preparation | None = None

    def __post_init__(self) -> None:
        assert self.train.ndim in (2, 4), "samples are vectors or [C, H, W] images"
        assert self.value_range is None or self.value_range[0] < self.value_range[1]
        if len(self.train) < 2:
            raise DataError(
                f"{self.name}: {len(self.train)} training sample(s); an autoencoder needs at "
                "least 2, one sample a row."
            )
        self._check_part("training", self.train, self.train_labels)
        if self.test is not None:
            self._check_test(self.test)
        self._check_spread()

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: `(features,)` or `(C, H, W)`."""
        return tuple(self.train.shape[1:])

    @property
    def is_image(self) -> bool:
        """Whether samples are `[C, H, W]` images."""
        return self.train.ndim == 4

    def _check_test(self, test: Tensor) -> None:
        if test.shape[1:] != self.train.shape[1:]:
            raise DataError(
                f"{self.name}: test samples have shape {list(test.shape[1:])}, training samples "
                f"{list(self.sample_shape)}; they must agree."
            )
        self._check_part("test", test, self.test_labels)

    def _check_part(self, part: str, samples: Tensor, labels: Tensor | None) -> None:
        if samples.numel() == 0:
            raise DataError(
                f"{self.name}: the {part} data are empty (shape {list(samples.shape)})."
            )
        if labels is not None and labels.shape != (len(samples),):
            raise DataError(
                f"{self.name}: {len(samples)} {part} samples but labels of shape "
                f"{list(labels.shape)}; give one label a sample."
            )
        low, high = _extremes(samples)
        if not _is_finite(low, high):
            raise DataError(f"{self.name}: {_describe_non_finite(samples, part)}")
        if self.value_range is not None:
            self._check_inside_range(part, low, high, self.value_range)

    def _check_inside_range(
        self, part: str, low: float, high: float, value_range: tuple[float, float]
    ) -> None:
        bottom, top = value_range
        slack = ROUNDING * (top - bottom)
        if low < bottom - slack or high > top + slack:
            raise DataError(
                f"{self.name}: the {part} values run from {low:g} to {high:g}, outside the "
                f"declared range [{bottom:g}, {top:g}]. Correct data.value_range, or null it to "
                "use the range found in the training split."
            )

    def _check_spread(self) -> None:
        low, high = _extremes(self.train)
        if low == high:
            raise DataError(
                f"{self.name}: constant data (every training value is {low:g}); there is nothing "
                "to learn."
            )
        if self.value_range is None:
            return
        bottom, top = self.value_range
        width = top - bottom
        if low >= 0 and high <= 1 and width >= FAR_WIDER_THAN_ONE:
            raise DataError(
                f"{self.name}: the declared range is [{bottom:g}, {top:g}], but the largest value "
                f"is {high:g}: the data have already been divided. Dividing by {width:g} again "
                "would leave targets near zero; set data.value_range=[0,1]."
            )
        if (high - low) / width < SMALLEST_SHARE_OF_RANGE:
            raise DataError(
                f"{self.name}: the values run from {low:g} to {high:g} and fill only "
                f"{(high - low) / width:.1%} of the declared range [{bottom:g}, {top:g}]. Targets "
                "would be nearly constant (have the data been divided twice?); set "
                "data.value_range to the range that they were recorded in."
            )


def _extremes(samples: Tensor) -> tuple[float, float]:
    low, high = samples.aminmax()
    return low.item(), high.item()


def _is_finite(low: float, high: float) -> bool:
    """NaN and infinities survive min and max, so these two tell about every value.

    Values beyond float32, which training uses, count as infinite.
    """
    return bool(torch.tensor([low, high], dtype=torch.float32).isfinite().all())


def _describe_non_finite(samples: Tensor, part: str) -> str:
    bad = ~samples.float().isfinite()
    first = bad.nonzero()[0].tolist()
    return (
        f"{int(bad.sum())} of {bad.numel()} {part} values are NaN or infinite in float32; the "
        f"first is {samples[tuple(first)].item()} in sample {first[0]} (counted from 0), position "
        f"{first[1:]}. Remove these samples or fill the gaps."
    )
