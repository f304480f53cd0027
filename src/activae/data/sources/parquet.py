"""Numbers from a Parquet file, with the column named that holds none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activae.data.sources.table import column_indices, label_index
from activae.errors import ConfigError, DataError

Array = NDArray[Any]


def read_parquet(
    path: Path, label_column: str | int | None, columns: Sequence[str] | None
) -> tuple[Array, Array | None]:
    """The chosen columns `[rows, columns]`, or all but the label column, and the labels.

    Args:
        path: the file.
        label_column: its name, or its index from 0 (-1: the last), or None.
        columns: the names of the columns to take, in this order; None: all others.

    Raises:
        ConfigError: there is no such column, or pyarrow is not installed.
        DataError: the file is damaged, has no rows, or a column holds something else than numbers
            or has gaps.
    """
    pyarrow = needs_pyarrow(path)
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        names = file.schema_arrow.names
        label = label_index(path, names, label_column, columns)
        if columns is None:
            _refuse_row_index(path, names)
            chosen = [index for index in range(len(names)) if index != label]
        else:
            chosen = column_indices(path, names, columns)
        wanted = [names[index] for index in (*chosen, *([] if label is None else [label]))]
        table = file.read(columns=wanted)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is no Parquet file, or is damaged: {reason}") from error
    if not table.num_rows or not chosen:
        raise DataError(f"{path} has no samples: {table.num_rows} rows of {len(chosen)} columns.")
    values = [_numbers(path, names[index], table.column(names[index])) for index in chosen]
    stacked = np.stack(values, axis=1)
    return stacked, None if label is None else _labels(path, names[label], table)


def needs_pyarrow(path: Path) -> Any:
    """The package. Raises ConfigError, which says how to install it, where it is missing."""
    try:
        import pyarrow
    except ImportError as error:
        raise ConfigError(
            f"data.path={path}: reading .parquet needs pyarrow: pip install 'activae[parquet]'"
        ) from error
    return pyarrow


def _refuse_row_index(path: Path, names: Sequence[str]) -> None:
    for name in names:
        if name.startswith("__index_level_"):
            raise DataError(
                f"{path}, column {name}: is pandas' row index, which is no feature. Write the file "
                "with index=False, or choose others with data.source.columns=[...]."
            )


def _numbers(path: Path, name: str, column: Any) -> Array:
    from pyarrow import types

    kind = column.type
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise DataError(
            f"{path}, column {name}: holds {kind}, not numbers. Name it in "
            "data.source.label_column if it has labels, or choose others with "
            "data.source.columns=[...]."
        )
    _refuse_gaps(path, name, column)
    return np.asarray(column.to_numpy())


def _labels(path: Path, name: str, table: Any) -> Array:
    column = table.column(name)
    _refuse_gaps(path, name, column)
    labels = np.array(column.to_pylist())
    return labels.astype(str) if labels.dtype.kind not in "biuf" else labels


def _refuse_gaps(path: Path, name: str, column: Any) -> None:
    if column.null_count:
        first = column.is_null().to_numpy().argmax()
        raise DataError(
            f"{path}, column {name}: {column.null_count} cells are empty, the first in row {first} "
            "(counted from 0). Fill the gaps or remove these rows."
        )
