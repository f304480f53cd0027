"""Other data for a run: rows of another file, brought into the form of those it was trained on.

Columns are matched by name, so that their order does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from activae.data.other_rows import refuse_unknown
from activae.data.preparation import Preparation
from activae.data.source import check_finite
from activae.data.sources import arrays, tabular
from activae.data.sources.columns import columns_of, with_gaps
from activae.data.sources.files import existing_file
from activae.data.sources.hints import text_labels
from activae.data.sources.matching import places_of
from activae.data.sources.numbers import chosen_columns
from activae.data.sources.numpy_files import map_npy
from activae.data.sources.table import Table, is_number
from activae.data.sources.tables import ENDINGS as TABLES
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
        DataError: columns are missing or unknown, all of which are named, or a category is, or the
            file cannot be read, or its values are not finite or its samples of another shape.
    """
    if Path(path).suffix.lower() in TABLES or source["_target_"] != _ARRAY:
        table = other_table(path, source, spec, preparation)
        return table.walk()(table.count())
    file = existing_file(path, arrays.ENDINGS)
    named = map_npy(file).dtype.names if file.suffix.lower() == ".npy" else None
    is_matched = named is not None and spec.features is not None
    if is_matched:
        _match(file, spec.features or (), list(named or ()), source, None)
    content = arrays.read(file, spec.features if is_matched else None, None)
    samples = arrays.to_samples(file, content.train, source.get("image_shape"))
    return _checked(file, samples, spec)


@dataclass(frozen=True)
class SampleTable:
    """A table in a file, whose rows become samples of a run."""

    table: Table
    samples: Callable[[Table, int], Tensor]  # of a part, that begins at a row

    def count(self) -> int:
        """How many rows there are; a text file is read for it."""
        return self.table.count()

    def walk(self) -> Callable[[int], Tensor]:
        """What makes samples [n, *spec.shape] of the next n rows, with no others in memory."""
        take, at = self.table.walk(), 0

        def following(number: int) -> Tensor:
            nonlocal at
            samples = self.samples(take(number), at)
            at += len(samples)
            return samples

        return following


def other_table(
    path: str | Path, source: Mapping[str, Any], spec: DataSpec, preparation: Preparation | None
) -> SampleTable:
    """What `other_samples` reads of a table, for as many rows at a time as one likes.

    Columns are checked here, cells where they are read. Raises what `other_samples` raises.
    """
    kind = source["_target_"]
    if kind == _TABULAR and isinstance(preparation, tabular.ColumnFeatures):
        return _of_columns(existing_file(path, tabular.ENDINGS), source, preparation)
    if kind != _ARRAY:
        raise ConfigError(
            f"{path}: other files are read for runs of data=array and data=tabular; this run's "
            f"data come from {kind}."
        )
    return _of_numbers(existing_file(path, TABLES), source, spec)


def _checked(file: Path, samples: Tensor, spec: DataSpec, first: int = 0) -> Tensor:
    if samples.shape[1:] != torch.Size(spec.shape):
        raise DataError(
            f"{file}: samples have shape {list(samples.shape[1:])}, those that the run was trained "
            f"on {list(spec.shape)}."
        )
    check_finite(str(file), "new", samples, first)
    return samples


def _of_columns(
    file: Path, source: Mapping[str, Any], preparation: tabular.ColumnFeatures
) -> SampleTable:
    known = [*preparation.numeric, *preparation.categorical]
    table = open_table(file, source.get("encoding") or "utf-8-sig", has_settings=False)
    places_of(
        str(file), known, table.names, [*(source.get("drop") or ()), source.get("label_column")]
    )
    kinds: dict[str, Sequence[str] | None] = {
        "numeric": preparation.numeric,
        "categorical": preparation.categorical,
        "drop": [name for name in table.names if name not in known],
    }

    def samples(part: Table, first: int) -> Tensor:
        cells = part.cells() if file.suffix.lower() == ".parquet" else with_gaps(part.cells())
        columns = columns_of(part, cells, kinds)[0]
        refuse_unknown(columns, preparation, file)
        return preparation.transform(columns)

    return SampleTable(table, samples)


def _of_numbers(file: Path, source: Mapping[str, Any], spec: DataSpec) -> SampleTable:
    table = _table(file, spec.features or ())
    names, found = table.names, text_labels(table)
    label = source.get("label_column")
    if spec.features is None:  # nothing to match by
        is_label = len(names) == spec.shape[0] + 1 and len(spec.shape) == 1
        chosen = chosen_columns(file, label if is_label else None, None, has_settings=False)
    else:
        _match(file, spec.features, names, source, None if found is None else names[found])
        chosen = chosen_columns(file, None, spec.features, has_settings=False)

    def samples(part: Table, first: int) -> Tensor:
        values = part.numbers(chosen.columns)
        shaped = arrays.to_samples(file, values, source.get("image_shape"))
        return _checked(file, shaped, spec, first)

    return SampleTable(chosen.table, samples)


def _match(
    file: Path, known: Sequence[str], names: Sequence[str], source: Any, labels: str | None
) -> None:
    """Raise DataError unless the file has the columns that the run knows, and no strange ones.

    labels: the column that the run's reader would take for labels, which may be there too.
    """
    label = source.get("label_column")
    if isinstance(label, int) and -len(names) <= label < len(names):
        label = names[label]
    if label is None:
        label = labels
    places_of(str(file), known, names, names if source.get("columns") is not None else [label])


def _table(file: Path, known: Sequence[str]) -> Table:
    """A table; DataError where its columns have no names although the run knows some."""

    def has_header(cells: list[str]) -> bool:
        return not all(map(is_number, cells)) or bool({*known} & {*cells})

    table = open_table(file, has_header=has_header, has_settings=False)
    if known and not table.has_header:
        raise DataError(
            f"{file}: its columns have no names, by which those of the run's data are found; add "
            f"them in a first line: {','.join(known)}"
        )
    return table
