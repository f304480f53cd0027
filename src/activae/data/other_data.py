"""Other data for a run: rows of another file, brought into the form of those it was trained on.

Columns are matched by name, so that their order does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from activae.data.preparation import Preparation
from activae.data.source import check_finite
from activae.data.sources import arrays, tabular
from activae.data.sources.columns import Columns
from activae.data.sources.files import existing_file
from activae.data.sources.matching import places_of
from activae.data.sources.numpy_files import map_npy
from activae.data.sources.table import is_number
from activae.data.sources.tables import open_table
from activae.data.spec import DataSpec
from activae.errors import ConfigError, DataError

_ARRAY, _TABULAR = "activae.data.array", "activae.data.tabular"


def other_samples(
    path: str | Path, source: Mapping[str, Any], spec: DataSpec, preparation: Preparation | None
) -> Tensor:
    """Samples [N, *spec.shape] of another file, not yet normalised; it may have a single row.

    source: the run's config node `data.source`, of `array` or `tabular`. Columns that the run left
    out, or took for labels, may be there or not.

    Raises:
        ConfigError: the run's data are of another kind.
        DataError: columns are missing or unknown, all of which are named, or the file cannot be
            read, or its values are not finite or its samples of another shape.
    """
    kind = source["_target_"]
    if kind == _TABULAR and isinstance(preparation, tabular.ColumnFeatures):
        return _of_tabular(existing_file(path, tabular.ENDINGS), source, preparation)
    if kind != _ARRAY:
        raise ConfigError(
            f"{path}: other files are read for runs of data=array and data=tabular; this run's "
            f"data come from {kind}."
        )
    file = existing_file(path, arrays.ENDINGS)
    samples = _of_array(file, source, spec)
    if samples.shape[1:] != torch.Size(spec.shape):
        raise DataError(
            f"{file}: samples have shape {list(samples.shape[1:])}, those that the run was trained "
            f"on {list(spec.shape)}."
        )
    check_finite(str(file), "new", samples)
    return samples


def _of_tabular(
    file: Path, source: Mapping[str, Any], preparation: tabular.ColumnFeatures
) -> Tensor:
    known = [*preparation.numeric, *preparation.categorical]
    names = open_table(file, source.get("encoding")).names
    places_of(str(file), known, names, [*(source.get("drop") or ()), source.get("label_column")])
    found = tabular.tabular(
        file,
        numeric=preparation.numeric,
        categorical=preparation.categorical,
        drop=[name for name in names if name not in known],
        encoding=source.get("encoding") or "utf-8-sig",
    )
    assert isinstance(found.train, Columns)
    return preparation.transform(found.train)


def _of_array(file: Path, source: Mapping[str, Any], spec: DataSpec) -> Tensor:
    names = _names(file, spec.features or ())
    label = source.get("label_column")
    if spec.features is None:  # nothing to match by
        width = len(names or ())
        label = label if width == spec.shape[0] + 1 and len(spec.shape) == 1 else None
        content = arrays.read(file, None, label)
    elif names is None:
        content = arrays.read(file, None, None)
    else:
        if isinstance(label, int) and -len(names) <= label < len(names):
            label = names[label]
        others = names if source.get("columns") is not None else [label]
        places_of(str(file), spec.features, names, others)
        content = arrays.read(file, spec.features, None)
    return arrays.to_samples(file, content.train, source.get("image_shape"))


def _names(file: Path, known: Sequence[str]) -> list[str] | None:
    """The names of the file's columns, None where it is a plain array.

    Raises DataError for a table that has none although the run knows some.
    """
    ending = file.suffix.lower()
    if ending == ".npz":
        return None
    if ending == ".npy":
        names = map_npy(file).dtype.names
        return None if names is None else list(names)

    def has_header(cells: list[str]) -> bool:
        return not all(map(is_number, cells)) or bool({*known} & {*cells})

    table = open_table(file, has_header=has_header)
    if known and not table.has_header:
        raise DataError(
            f"{file}: its columns have no names, by which those of the run's data are found; add "
            f"them in a first line: {','.join(known)}"
        )
    return table.names
