"""Learning curves: each run's history, folded over the seeds of its condition."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from activae.compare.answer import Answer
from activae.compare.report.charts import Series, figure, is_wide, line_chart
from activae.compare.report.facets import LR, at_best_lr, facets
from activae.compare.report.markup import Section, grid, note
from activae.compare.statistics import Array
from activae.results.run_folder import HISTORY

if TYPE_CHECKING:
    import pandas as pd

VALIDATION, TRAINING = "SE/val", "SE/train"
_POINTS = 60  # of a curve


def learning_curves(answer: Answer) -> Iterator[Section]:
    """Validation error by step, a chart for each setting that was averaged over.

    Where there is one, that on the training data stands beside it.
    """
    charts = []
    parts = list(facets(answer.paired, at_best_lr(answer.paired)))
    for title, runs in parts:
        columns = {"on validation data": VALIDATION, "on training data": TRAINING}
        for said, column in columns.items() if len(parts) == 1 else [(title, VALIDATION)]:
            series = curves(answer, runs, column)
            if any(len(one.y) > 1 for one in series):
                drawn = line_chart(
                    series, "step", column, log_y=is_wide(y for one in series for y in one.y)
                )
                charts.append(figure(said, drawn))
    if not charts:
        return
    said = (
        "SE at the end of each epoch: the mean over seeds, in a band from the lowest to the "
        "highest of them."
    )
    if LR in answer.paired.averaged:
        said += " Each at its best learning rate."
    yield Section("curves", "While they learn", grid(charts) + note(said))


def curves(answer: Answer, runs: pd.DataFrame, column: str) -> list[Series]:
    """Of each condition the mean over its runs by step, in a band from the lowest to the highest.

    column: of history.csv. Conditions without a history are left out.
    """
    found = []
    for place, name in enumerate(answer.table["condition"]):
        paths = runs.loc[runs["condition"] == name, "path"]
        read = (read_history(Path(path) / HISTORY, column) for path in paths)
        histories = [history for history in read if history is not None]
        if histories:
            steps, values = _aligned(histories)
            mean, low, high = (of(values, 0).tolist() for of in (np.nanmean, np.nanmin, np.nanmax))
            found.append(Series(str(name), place, steps.tolist(), mean, low, high))
    return found


def read_history(file: Path, column: str) -> tuple[Array, Array] | None:
    """Steps and a column of a run's history, [epochs] each; None where there is nothing to show."""
    try:
        with file.open(newline="") as handle:
            rows = csv.reader(handle)
            heads = next(rows)
            at, of = heads.index("step"), heads.index(column)
            pairs = [(float(row[at]), float(row[of])) for row in rows if len(row) == len(heads)]
    except (OSError, ValueError, StopIteration, csv.Error):  # a figure less costs no answer
        return None
    values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    values = values[np.isfinite(values).all(1)]
    return (values[:, 0], values[:, 1]) if len(values) else None


def _aligned(histories: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Steps [epochs] and errors [runs, epochs], as far as half of the runs went."""
    lengths = sorted(len(steps) for steps, _ in histories)
    length = lengths[len(lengths) // 2]
    values = np.full((len(histories), length), np.nan)
    steps = np.full((len(histories), length), np.nan)
    for row, (at, errors) in enumerate(histories):
        kept = min(length, len(at))
        steps[row, :kept], values[row, :kept] = at[:kept], errors[:kept]
    chosen = np.unique(np.linspace(0, length - 1, min(length, _POINTS)).round().astype(int))
    return np.nanmean(steps[:, chosen], 0), values[:, chosen]
