"""Tables of mixed columns, and how they become numbers by scikit-learn's preprocessing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.data.preparation import Preparation, Unprepared
from activae.data.sources.columns import MISSING, Columns, columns_of, with_gaps
from activae.data.sources.files import encoded, existing_file
from activae.data.sources.matching import places_of
from activae.data.sources.table import Table
from activae.data.sources.tables import ENDINGS, open_table
from activae.errors import ConfigError, DataError

OTHER = "(other)"  # all the rare categories together


def tabular(
    path: str | Path,
    numeric: Sequence[str] | None = None,
    categorical: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    label_column: str | None = None,
    min_frequency: float = 0.01,
    encoding: str = "utf-8-sig",
) -> Unprepared:
    """A table from a `.parquet`, or a `.csv`, `.tsv` or `.txt` whose first line names the columns.

    A column in which every cell that is not a gap is a number is numeric, any other categorical,
    as is one that a Parquet file holds as text; numbers written otherwise, or with a few other
    cells, are refused. `numeric` and `categorical` decide instead. Gaps are empty cells, NA, N/A,
    NaN, null, None and ?; among numbers also #N/A, <NA>, - and a lone dot. What is made of the
    columns is learnt from the training split alone (`ColumnFeatures`).

    Args:
        path: the file.
        numeric: columns that are numbers; any other cell is an error.
        categorical: columns that are categories, such as codes written as numbers.
        drop: columns to leave out.
        label_column: holds labels, which colour plots and are never trained on.
        min_frequency: share of the training rows below which a category counts as rare.
        encoding: of a CSV file; utf-8-sig is UTF-8 with or without a mark in front.

    Raises:
        ConfigError: a setting is invalid, or names a column that the file does not have.
        DataError: the file cannot be read as a table, its columns have no names, or a column can be
            meant in two ways.
    """
    preparation = partial(ColumnFeatures, min_frequency=min_frequency)
    preparation()  # checks its setting before the file is read
    file = existing_file(path, ENDINGS)
    table = open_table(file, encoding)
    kinds = {"numeric": numeric, "categorical": categorical, "drop": drop}
    if label_column is not None:
        kinds["label_column"] = [label_column]
    _check_names(table, kinds)
    table.refuse_row_index(
        drop or (), remedy="name it and leave it out with data.source.drop=[NAME]"
    )
    table.refuse_numbers_as_names()
    cells = with_gaps(table.cells()) if file.suffix.lower() != ".parquet" else table.cells()
    found = [] if label_column is None else cells.columns[table.names.index(label_column)]
    labels, names = encoded([MISSING if cell is None else cell for cell in found])
    columns, notes = columns_of(table, cells, kinds)
    return Unprepared(
        name=str(file),
        train=columns,
        preparation=preparation,
        train_labels=labels,
        class_names=names,
        note=" ".join(notes),
    )


def _check_names(table: Table, kinds: dict[str, Sequence[str] | None]) -> None:
    seen: dict[str, str] = {}
    for kind, wanted in kinds.items():
        key = f"data.source.{kind}"
        for name in wanted or ():
            table.index(key, name)
            if name in seen:
                raise ConfigError(f"{key}={name}: this column is in {seen[name]} already.")
            seen[name] = key


class ColumnFeatures(Preparation):
    """Numbers standardised, gaps filled with the median; categories as one feature each.

    A number becomes (x - mean) / deviation, by SimpleImputer and StandardScaler. A category becomes
    1 in its feature and 0 in the others of its column, by OneHotEncoder. Those that less than
    `min_frequency` of the training rows have are one feature, (other), together with any that
    training did not see; a column without rare ones leaves the unseen all zeros. Missing
    categories are a category, (missing).

    Raises:
        ConfigError: `min_frequency` is no share.
    """

    kind = "columns"

    def __init__(self, *, min_frequency: float) -> None:
        if not 0 <= min_frequency < 1:
            raise ConfigError(
                f"data.source.min_frequency={min_frequency}: give a share of the rows, such as "
                "0.01, below which a category counts as rare."
            )
        self.min_frequency = min_frequency
        self.numeric: list[str] = []
        self.categorical: list[str] = []
        self.categories: list[list[str]] = []
        self.imputer: Any = None
        self.scaler: Any = None
        self.encoder: Any = None

    @property
    def features(self) -> list[str]:
        """The numeric columns, then column=category for each category."""
        pairs = zip(self.categorical, self.categories, strict=True)
        return self.numeric + [f"{name}={c}" for name, kept in pairs for c in kept]

    def fit(self, rows: Columns) -> None:
        """Learn medians, means, deviations and categories. DataError names an unusable column."""
        from sklearn.preprocessing import StandardScaler

        self.numeric, self.categorical = rows.numeric_names, rows.categorical_names
        medians = self._medians(rows)
        self.categories = [
            self._kept(name, rows.categorical[:, number])
            for number, name in enumerate(self.categorical)
        ]
        self._make_steps(medians)
        if self.numeric:
            self.scaler = StandardScaler().fit(self.imputer.transform(rows.numeric))

    def transform(self, rows: Columns) -> Tensor:
        """Samples [N, features] of rows with the columns that were fitted, in any order.

        Raises DataError where the columns are others.
        """
        numbers, categories = self._in_order(rows)
        if len(numbers) == 0:  # which scikit-learn refuses
            return torch.zeros(0, len(self.features))
        parts = []
        if self.numeric:
            parts.append(self.scaler.transform(self.imputer.transform(numbers)))
        if self.categorical:
            parts.append(self.encoder.transform(self._with_others(categories)))
        return torch.from_numpy(np.hstack(parts).astype(np.float32))

    def _in_order(self, rows: Columns) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """The numbers and the categories of the rows, in the order of the columns fitted."""
        places_of(
            "these rows",
            [*self.numeric, *self.categorical],
            [*rows.numeric_names, *rows.categorical_names],
        )
        for name in self.numeric:
            if name in rows.categorical_names:
                raise DataError(
                    f"column '{name}' holds categories, but numbers were trained on: read it with "
                    f"data.source.numeric=[{name}], which names the cell that is none."
                )
        for name in self.categorical:
            if name in rows.numeric_names:
                raise DataError(
                    f"column '{name}' holds numbers, but categories were trained on: read it with "
                    f"data.source.categorical=[{name}]."
                )
        numeric = [rows.numeric_names.index(name) for name in self.numeric]
        categorical = [rows.categorical_names.index(name) for name in self.categorical]
        return rows.numeric[:, numeric], rows.categorical[:, categorical]

    def inverse_transform(self, samples: Tensor) -> Columns:
        """Rows of samples [N, features]: the most likely category of each column, (other) as such.

        None stands where a column's features are all 0 or less.
        """
        values = samples.detach().cpu().double().numpy()
        numbers, rest = values[:, : len(self.numeric)], values[:, len(self.numeric) :]
        if self.numeric:
            numbers = self.scaler.inverse_transform(numbers)
        found = np.empty((len(values), len(self.categorical)), dtype=object)
        start = 0
        for column, kept in enumerate(self.categories):
            block = rest[:, start : start + len(kept)]
            chosen = np.array([*kept, None], dtype=object)
            found[:, column] = chosen[np.where(block.max(1) > 0, block.argmax(1), len(kept))]
            start += len(kept)
        return Columns(self.numeric, numbers, self.categorical, found)

    def state(self) -> dict[str, Any]:
        """Settings, column names, and what was learnt of each column."""
        learnt: dict[str, list[float]] = {"medians": [], "means": [], "deviations": []}
        if self.numeric:
            vectors = (self.imputer.statistics_, self.scaler.mean_, self.scaler.scale_)
            learnt = {k: list(map(float, v)) for k, v in zip(learnt, vectors, strict=True)}
        return {
            "min_frequency": self.min_frequency,
            "numeric": list(self.numeric),
            "categorical": list(self.categorical),
            "categories": [list(kept) for kept in self.categories],
            **learnt,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The preparation that `state` was taken from."""
        from sklearn.preprocessing import StandardScaler

        self = cls(min_frequency=state["min_frequency"])
        self.numeric, self.categorical = list(state["numeric"]), list(state["categorical"])
        self.categories = [list(kept) for kept in state["categories"]]
        self._make_steps(np.array(state["medians"]))
        scaler = self.scaler = StandardScaler()
        scaler.mean_, scaler.scale_ = np.array(state["means"]), np.array(state["deviations"])
        scaler.n_features_in_ = len(self.numeric)
        return self

    def _make_steps(self, medians: NDArray[np.float64]) -> None:
        """The imputer and the encoder; what they hold is given, so one row is all they need."""
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder

        if self.numeric:
            self.imputer = SimpleImputer(strategy="median").fit(medians[None])
        if self.categorical:
            categories = [np.array(kept, dtype=object) for kept in self.categories]
            self.encoder = OneHotEncoder(
                categories=categories, handle_unknown="ignore", sparse_output=False
            ).fit(np.array([[kept[0] for kept in self.categories]], dtype=object))

    def _medians(self, rows: Columns) -> NDArray[np.float64]:
        """Of each numeric column, NaN passed over; DataError where nothing but NaN is."""
        for name, column in zip(rows.numeric_names, rows.numeric.T, strict=True):
            if np.isnan(column).all():
                raise DataError(
                    f"column '{name}' has no value in the training split: leave it out with "
                    f"data.source.drop=[{name}]."
                )
        return np.nanmedian(rows.numeric, axis=0) if self.numeric else np.empty(0)

    def _kept(self, name: str, column: NDArray[Any]) -> list[str]:
        """The categories that get a feature each, (other) last if there are rare ones."""
        values, counts = np.unique(column.astype(str), return_counts=True)
        least = math.ceil(self.min_frequency * len(column))
        kept = [str(v) for v, count in zip(values, counts, strict=True) if count >= least]
        if not kept:
            raise DataError(
                f"column '{name}' has {len(values)} categories in {len(column)} training rows, "
                f"and none that {self.min_frequency:g} of them share: leave it out with "
                f"data.source.drop=[{name}], take it for numbers with data.source.numeric=[{name}]"
                ", or lower data.source.min_frequency."
            )
        return kept if len(kept) == len(values) else [*kept, OTHER]

    def _with_others(self, values: NDArray[Any]) -> NDArray[Any]:
        """Categories [N, q], the rare and unseen replaced by (other) where a column has that."""
        known = values.copy()
        for column, kept in enumerate(self.categories):
            if kept[-1] == OTHER:
                known[~np.isin(values[:, column].astype(str), kept), column] = OTHER
        return known
