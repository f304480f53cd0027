"""Arrays, tensors and DataFrames become splits without a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from activae import AutoencoderDataModule
from activae.errors import ConfigError, DataError


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (values(50, 4), (4,)),
        (torch.rand(50, 4, requires_grad=True), (4,)),
        (pd.DataFrame(values(50, 4), columns=list("abcd")), (4,)),
        (values(50, 4).tolist(), (4,)),
        (values(50, 8, 8), (1, 8, 8)),
        ((255 * values(50, 8, 8, 3)).astype(np.uint8), (3, 8, 8)),
    ],
    ids=["array", "tensor", "DataFrame", "lists", "grey images", "images in bytes"],
)
def test_what_samples_are_follows_from_the_shape(x: Any, shape: tuple[int, ...]) -> None:
    data = AutoencoderDataModule.from_arrays(x)

    assert data.spec.shape == shape
    assert [len(data.samples[stage]) for stage in ("train", "val", "test")] == [35, 5, 10]
    assert [float(bound) for bound in data.samples["train"].aminmax()] == pytest.approx(
        [0, 1], abs=1e-6
    )
    assert data.spec.features == (tuple("abcd") if isinstance(x, pd.DataFrame) else None)


def test_it_keeps_a_copy() -> None:
    x = values(50, 4)
    data = AutoencoderDataModule.from_arrays(x, normalisation="none")
    kept = data.samples["train"].clone()

    x[:] = 0

    assert torch.equal(data.samples["train"], kept)


def test_a_test_set_of_ones_own_is_used_whole() -> None:
    data = AutoencoderDataModule.from_arrays(values(50, 4), test=values(7, 4))

    assert [len(data.samples[stage]) for stage in ("train", "val", "test")] == [45, 5, 7]


def test_with_a_validation_set_of_ones_own_nothing_is_split() -> None:
    train, val = values(30, 4), 9 + values(6, 4)
    given: dict[str, Any] = {"normalisation": "none", "labels": np.arange(30), "batch_size": 7}
    data = AutoencoderDataModule.from_arrays(train, val=val, **given)
    batches = list(data.batches(0, data.steps_per_epoch))

    assert torch.equal(data.samples["train"], torch.tensor(train).float())
    assert torch.equal(data.samples["val"], torch.tensor(val).float())
    assert len(data.samples["test"]) == 0
    labels = data.labels["train"]
    assert labels is not None
    assert labels.tolist() == list(range(30))
    assert torch.equal(torch.cat(batches).sort(0)[0], data.samples["train"].sort(0)[0])
    with_test = AutoencoderDataModule.from_arrays(train, val=val, test=values(5, 4))
    assert len(with_test.samples["test"]) == 5


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(DataError, match=r"an array of shape \[50\] is not a list of samples"):
        AutoencoderDataModule.from_arrays(values(50))
    with pytest.raises(DataError, match=r"mine: validation samples have shape \[3\]"):
        AutoencoderDataModule.from_arrays(values(50, 4), val=values(9, 3), name="mine")
    with pytest.raises(ConfigError, match="normalisation=minmax"):
        AutoencoderDataModule.from_arrays(values(50, 4), normalisation="minmax")
