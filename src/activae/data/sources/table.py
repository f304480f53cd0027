"""Choosing columns of a table by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from activae.config.wording import did_you_mean
from activae.errors import ConfigError, DataError


def column_indices(path: Path, names: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where the chosen columns stand among `names`, in the order chosen.

    Raises ConfigError for one that there is not, or is chosen twice, or is one of several.
    """
    for number, column in enumerate(columns):
        fault = ""
        if column not in names:
            fault = f"{path} has no such column. {did_you_mean(column, names)}It has"
        elif column in columns[:number]:
            fault = f"name it once. {path} has"
        elif list(names).count(column) > 1:
            fault = f"{path} has several columns of that name. It has"
        if fault:
            raise ConfigError(f"data.source.columns: {column}: {fault} {shortened(names)}.")
    if not columns:
        raise ConfigError(f"data.source.columns=[]: name some. {path} has {shortened(names)}.")
    return [list(names).index(column) for column in columns]


def label_index(
    path: Path, names: Sequence[str], label_column: str | int | None, columns: Sequence[str] | None
) -> int | None:
    """Where the label column stands among `names`; it may be given by its index.

    Raises ConfigError where there is none, or where it is among the chosen columns too.
    """
    if label_column is None:
        return None
    if isinstance(label_column, str):
        if label_column not in names:
            raise ConfigError(
                f"data.source.label_column={label_column}: {path} has no such column. "
                f"{did_you_mean(label_column, names)}It has {shortened(names)}."
            )
        index = list(names).index(label_column)
    else:
        if not -len(names) <= label_column < len(names):
            raise ConfigError(
                f"data.source.label_column={label_column}: {path} has {len(names)} columns; "
                "count from 0, or from the end with -1."
            )
        index = label_column % len(names)
    if columns is not None and names[index] in columns:
        raise ConfigError(
            f"data.source.columns: {names[index]}: holds the labels (data.source.label_column), "
            "which are never trained on; leave it out of one of the two."
        )
    if len(names) == 1:
        raise DataError(f"{path} has a label column and no other: there is nothing to train on.")
    return index


def shortened(names: Sequence[str], most: int = 10) -> str:
    """The names in words, or the first of many."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} columns)"
