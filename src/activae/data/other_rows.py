"""Rows in memory for a run: a DataFrame, texts or cells become samples as its training data did.

Columns and genes are matched by name. What the run cannot know is refused, beside what it knows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from activae.data.sources.cells import Cells, Expression, in_rows
from activae.data.sources.columns import GAPS, GAPS_AMONG_NUMBERS, MISSING, Columns
from activae.data.sources.files import shortened
from activae.data.sources.hints import is_called_labels
from activae.data.sources.matching import places_of
from activae.data.sources.tabular import OTHER, ColumnFeatures
from activae.data.sources.texts import WordCounts, as_rows
from activae.data.spec import DataSpec
from activae.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

Source = Mapping[str, Any]
_ROWS = "these rows"


def frame_numbers(frame: pd.DataFrame, source: Source, spec: DataSpec) -> NDArray[Any]:
    """The values [N, features] of a run's features, found by their names where it knows them.

    Raises DataError where columns are missing or unknown, or are no numbers.
    """
    names = list(map(str, frame.columns))
    if spec.features is None:
        if len(names) != spec.shape[0] or len(spec.shape) != 1:
            raise DataError(
                f"{_ROWS} have {len(names)} columns ({shortened(names, 5)}); the run expects "
                f"samples of shape {list(spec.shape)}, whose values have no names."
            )
        places = list(range(len(names)))
    else:
        left_out = names if source.get("columns") is not None else _left_out(source)
        labels = [
            name
            for name, kind in zip(names, frame.dtypes, strict=True)
            if kind.kind not in "biuf" and is_called_labels(name)
        ]
        places = places_of(_ROWS, spec.features, names, [*left_out, *labels])
    for place in places:
        if frame.dtypes.iloc[place].kind not in "biuf":
            raise DataError(
                f"column {names[place]}: holds {frame.dtypes.iloc[place]}; the run expects numbers."
            )
    return frame.iloc[:, places].to_numpy()


def frame_columns(frame: pd.DataFrame, source: Source, preparation: ColumnFeatures) -> Columns:
    """The numbers and categories of a DataFrame, as the run's own file had them.

    Gaps (None, NaN, of files of text also empty cells, NA and the like) are filled as in training.
    Raises DataError where columns are missing or unknown, a cell of a numeric column is no finite
    number, or a category is unknown in a column that has no feature for rare ones.
    """
    known = [*preparation.numeric, *preparation.categorical]
    names = list(map(str, frame.columns))
    places = dict(zip(known, places_of(_ROWS, known, names, _left_out(source)), strict=True))
    numbers = [_numbers(frame.iloc[:, places[name]], name) for name in preparation.numeric]
    has_words = Path(str(source.get("path"))).suffix.lower() != ".parquet"
    words = [_words(frame.iloc[:, places[name]], has_words) for name in preparation.categorical]
    rows = len(frame)
    columns = Columns(
        preparation.numeric,
        np.array(numbers, dtype=np.float64).reshape(len(numbers), rows).T,
        preparation.categorical,
        np.array(words, dtype=object).reshape(len(words), rows).T,
    )
    refuse_unknown(columns, preparation)
    return columns


def text_rows(texts: Sequence[Any]) -> NDArray[Any]:
    """Texts as `WordCounts` takes them. Raises DataError where one is no text, or empty."""
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"text {place} (counted from 0) is a {type(text).__name__}: {str(text)[:40]}; the "
                "run expects texts."
            )
        if not text.strip():
            raise DataError(f"text {place} (counted from 0) is empty; the run expects words.")
    return as_rows(texts)


def text_samples(rows: NDArray[Any], preparation: WordCounts) -> Tensor:
    """Samples [N, words]; DataError where not one of the texts has a word that the run knows."""
    samples = preparation.transform(rows)
    empty = int((samples == 0).all(1).sum())
    if empty and empty == len(samples):
        words = preparation.features
        raise DataError(
            f"none of {len(samples)} texts has a word that the run knows: it knows {len(words)}, "
            f"such as {shortened(words[:: max(1, len(words) // 5)], 5)}."
        )
    if empty:
        log.warning("%s", preparation.note(samples))
    return samples


def cell_rows(cells: Any, source: Source) -> Cells:
    """The expression values of an AnnData: of the layer that the run's own were taken from.

    Raises DataError where it has no such layer, or no X.
    """
    layer = source.get("layer")
    if layer is not None and layer not in cells.layers:
        raise DataError(
            f"these cells have the layers {shortened(list(cells.layers)) or '(none but X)'}; the "
            f"run expects its values in the layer {layer}."
        )
    values = cells.X if layer is None else cells.layers[layer]
    if values is None:
        raise DataError("these cells have no X; the run expects its values there.")
    return Cells(in_rows(values), [str(gene) for gene in cells.var_names])


def frame_cells(frame: pd.DataFrame, preparation: Expression) -> Cells:
    """Cells in the rows of a DataFrame, whose columns are genes. Raises DataError for no number."""
    wanted = [name for name in frame.columns if str(name) in set(preparation.genes)]
    bad = [str(name) for name in wanted if frame[name].dtype.kind not in "biuf"]
    if bad:
        raise DataError(f"genes {shortened(bad, 5)}: hold no numbers; the run expects numbers.")
    return Cells(frame[wanted].to_numpy(), list(map(str, wanted)))


def _left_out(source: Source) -> list[Any]:
    return [*(source.get("drop") or ()), source.get("label_column")]


def _numbers(column: pd.Series[Any], name: str) -> NDArray[np.float64]:
    import pandas as pd

    found = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    gaps = column.isna().to_numpy()
    for place in np.flatnonzero(~np.isfinite(found) & ~gaps):
        cell = str(column.iloc[place]).strip()
        if cell.lower() not in GAPS | GAPS_AMONG_NUMBERS:
            raise DataError(
                f"column {name}, row {place} (counted from 0): {cell!r} is no finite number; the "
                "run expects numbers there, or gaps."
            )
    return found


def _words(column: pd.Series[Any], has_words: bool) -> list[str]:
    """Each cell as the reader of a file gives it; has_words: that words such as NA are gaps."""
    gaps = column.isna().to_numpy()
    cells = ((MISSING if gap else str(cell)) for gap, cell in zip(gaps, column, strict=True))
    return [MISSING if has_words and cell.strip().lower() in GAPS else cell for cell in cells]


def refuse_unknown(columns: Columns, preparation: ColumnFeatures, file: Path | None = None) -> None:
    """Raise DataError for a category that a run does not know, unless it knows rare ones as such.

    file: where the rows lie, for the message.
    """
    where = "" if file is None else f"{file}, "
    for name, kept in zip(preparation.categorical, preparation.categories, strict=True):
        if kept[-1] == OTHER or name not in columns.categorical_names:
            continue
        cells = columns.categorical[:, columns.categorical_names.index(name)]
        unknown = sorted({*cells} - {*kept})
        if unknown:
            raise DataError(
                f"{where}column {name}: holds {shortened(unknown, 5)}; the run expects one of "
                f"{shortened(kept)}."
            )
