"""What a data set is before it is split and normalised, and the checks that every one passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from activae.data.layout import Layout
from activae.data.on_disk.rows import NpyRows
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
        train: `[N, features]` vectors or `[N, C, H, W]` images of any real dtype; rows that stay in
            their file are checked by `check_values` when they have been read.
        train_labels: `[N]` int64 class indices; they colour plots and are never trained on.
        test: `[M, ...]` samples of the same shape; None where a seeded split makes the test set.
        test_labels: `[M]` int64.
        value_range: the smallest and the largest value the data can take, such as (0, 255);
            None where nobody declared it.
        class_names: the name of each label.
        note: what the user should know before training on it.
        features: the name of each feature, where the file names its columns.
        units: what the values are measured in, where the source knows.
        preparation: what made the samples from rows of another kind, such as texts; None where
            they came as numbers.
        layout: how the rows of an array file are split and visited; None: as single rows.
        binarise: static or dynamic, where samples are draws of the two ends of the range
            (`activae.data.binarised`).
        intensities: what `train` was drawn from, where each training step draws it anew.

    Raises:
        DataError: too few samples, values that are not finite, constant data, shapes that
            disagree, or values that contradict the declared range.
    """

    name: str
    train: Tensor | NpyRows
    train_labels: Tensor | None = None
    test: Tensor | None = None
    test_labels: Tensor | None = None
    value_range: tuple[float, float] | None = None
    class_names: tuple[str, ...] | None = None
    note: str = ""
    features: tuple[str, ...] | None = None
    units: str | None = None
    preparation: Preparation | None = None
    layout: Layout | None = None
    binarise: str | None = None
    intensities: Tensor | NpyRows | None = None

    def __post_init__(self) -> None:
        assert self.train.ndim in (2, 4), "samples are vectors or [C, H, W] images"
        assert self.value_range is None or self.value_range[0] < self.value_range[1]
        if len(self.train) < 2:
            raise DataError(
                f"{self.name}: {len(self.train)} training sample(s); an autoencoder needs at "
                "least 2, one sample a row."
            )
        self._check_shape("training", self.train, self.train_labels)
        if isinstance(self.train, Tensor):
            check_finite(self.name, "training", self.train)
            self.check_values(*_extremes(self.train))
        if self.test is not None:
            self._check_test(self.test)

    def check_values(self, low: float, high: float) -> None:
        """Raise DataError where training values from `low` to `high` contradict what is known."""
        self._check_inside_range("training", low, high)
        self._check_spread(low, high)

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
        self._check_shape("test", test, self.test_labels)
        check_finite(self.name, "test", test)
        self._check_inside_range("test", *_extremes(test))

    def _check_shape(self, part: str, samples: Tensor | NpyRows, labels: Tensor | None) -> None:
        if samples.numel() == 0:
            raise DataError(
                f"{self.name}: the {part} data are empty (shape {list(samples.shape)})."
            )
        if labels is not None and labels.shape != (len(samples),):
            raise DataError(
                f"{self.name}: {len(samples)} {part} samples but labels of shape "
                f"{list(labels.shape)}; give one label a sample."
            )

    def _check_inside_range(self, part: str, low: float, high: float) -> None:
        if self.value_range is None:
            return
        bottom, top = self.value_range
        slack = ROUNDING * (top - bottom)
        if low < bottom - slack or high > top + slack:
            raise DataError(
                f"{self.name}: the {part} values run from {low:g} to {high:g}, outside the "
                f"declared range [{bottom:g}, {top:g}]. Correct data.value_range, or null it to "
                "use the range found in the training split."
            )

    def _check_spread(self, low: float, high: float) -> None:
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


def check_finite(name: str, part: str, samples: Tensor, first: int = 0) -> None:
    """Raise DataError where a value of samples [N, ...] is not finite in float32.

    first: where the samples stand among those that the message counts.
    """
    if not is_finite(*_extremes(samples)):
        bad = ~samples.float().isfinite()
        place = bad.nonzero()[0].tolist()
        value = samples[tuple(place)].item()
        where = [first + place[0], *place[1:]]
        raise non_finite(name, part, int(bad.sum()), bad.numel(), value, where)


def is_finite(low: float, high: float) -> bool:
    """Whether all values between these extremes are: NaN and infinities survive min and max.

    Values beyond float32, which training uses, count as infinite.
    """
    return bool(torch.tensor([low, high], dtype=torch.float32).isfinite().all())


def non_finite(
    name: str, part: str, bad: int, total: int, value: float, place: Sequence[int]
) -> DataError:
    """The error of `bad` among `total` values of a part, the first one at [sample, position...]."""
    return DataError(
        f"{name}: {bad} of {total} {part} values are NaN or infinite in float32; the first is "
        f"{value} in sample {place[0]} (counted from 0), position {list(place[1:])}. Remove these "
        "samples or fill the gaps."
    )
