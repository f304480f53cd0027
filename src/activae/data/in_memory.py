"""Samples that are in memory already: arrays, tensors, DataFrames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from activae.data.source import Source
from activae.data.sources.arrays import to_samples
from activae.errors import DataError


def source_of_arrays(
    name: str,
    train: Any,
    *,
    val: Any = None,
    test: Any = None,
    labels: Any = None,
    value_range: tuple[float, float] | None = None,
) -> Source:
    """The Source of arrays of samples; the arguments of `AutoencoderDataModule.from_arrays`.

    Those of `val` come last in its `train`. Raises DataError where they are not shaped like
    samples, or differently.
    """
    samples = _samples(name, train)
    classes = None if labels is None else torch.from_numpy(_array(labels)).long()
    if val is not None:
        others = _samples(name, val)
        if others.shape[1:] != samples.shape[1:]:
            raise DataError(
                f"{name}: validation samples have shape {list(others.shape[1:])}, training "
                f"samples {list(samples.shape[1:])}; they must agree."
            )
        samples = torch.cat((samples, others.to(samples.dtype)))
        if classes is not None:  # none are known
            classes = torch.cat((classes, classes.new_full((len(others),), -1)))
    columns = getattr(train, "columns", None)  # of a DataFrame
    return Source(
        name=name,
        train=samples,
        train_labels=classes,
        test=None if test is None else _samples(name, test),
        value_range=value_range,
        features=None if columns is None else tuple(map(str, columns)),
    )


def _samples(name: str, values: Any) -> Tensor:
    return to_samples(Path(name), _array(values), None)


def _array(values: Any) -> Any:
    """A NumPy array of its own: the caller's may change later, or be read-only."""
    if isinstance(values, (str, Path)):
        raise DataError(
            f"{values}: is a path, and samples are given; read them first, by numpy.load or "
            "pandas.read_csv"
        )
    return np.array(values.detach().cpu().numpy() if isinstance(values, Tensor) else values)
