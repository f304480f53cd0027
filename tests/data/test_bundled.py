"""The digits embedded in scikit-learn."""

from __future__ import annotations

import torch

from activae.data import digits


def test_digits_are_grey_images_with_seventeen_levels() -> None:
    source = digits()
    assert source.train.shape == (1797, 1, 8, 8)
    assert source.train.dtype == torch.uint8
    assert source.value_range == (0, 16)
    assert source.train.aminmax() == (0, 16)
    assert source.test is None


def test_digits_are_labelled() -> None:
    source = digits()
    assert source.train_labels is not None
    assert source.train_labels.dtype == torch.int64
    assert source.train_labels.bincount().min() > 170
    assert source.class_names == tuple("0123456789")
