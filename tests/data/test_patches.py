"""Patches of photographs: where they are from, and that training and test share no pixel."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

from activae.data import natural_patches
from activae.errors import ConfigError


def test_patches_are_grey_or_coloured_squares_with_a_test_set() -> None:
    grey, colour = (natural_patches(12, 40, channels, seed=0) for channels in (1, 3))

    assert grey.test is not None
    assert (grey.train.shape, grey.test.shape) == ((40, 1, 12, 12), (10, 1, 12, 12))
    assert colour.train.shape == (40, 3, 12, 12)
    assert grey.train.dtype == torch.uint8
    assert grey.value_range == (0, 255)
    assert grey.class_names == ("china", "flower")
    assert grey.train_labels is not None
    assert grey.train_labels.bincount().tolist() == [20, 20]


def test_the_seed_says_which() -> None:
    first, same, other = (natural_patches(8, 20, 1, seed=seed) for seed in (0, 0, 1))

    assert torch.equal(first.train, same.train)
    assert not torch.equal(first.train, other.train)


def columns_of(patch: Tensor, photograph: Tensor) -> list[int]:
    """Where in the photograph [C, H, W] the patch stands: its left edges."""
    size = patch.shape[-1]
    windows = photograph.unfold(1, size, 1).unfold(2, size, 1)
    found = (windows == patch[:, None, None]).all(dim=0).all(-1).all(-1)
    return found.nonzero()[:, 1].tolist()


def test_test_patches_are_from_a_strip_of_their_own() -> None:
    source = natural_patches(12, 4, 3, seed=3)
    photographs = [torch.tensor(image).movedim(2, 0) for image in load_sample_images().images]
    assert source.test is not None
    assert source.train_labels is not None
    assert source.test_labels is not None

    for patch, label in zip(source.train, source.train_labels, strict=True):
        assert min(columns_of(patch, photographs[label])) + 12 <= 512
    for patch, label in zip(source.test, source.test_labels, strict=True):
        assert max(columns_of(patch, photographs[label])) >= 512


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 1}, r"data\.source\.size=1: give 2 to 128"),
        ({"size": 129}, r"data\.source\.size=129"),
        ({"number": 1}, r"data\.source\.number=1: give 2"),
        ({"channels": 2}, r"data\.source\.channels=2"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        natural_patches(**{"size": 12, "number": 20, "channels": 1, "seed": 0} | changes)
