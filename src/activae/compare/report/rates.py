"""What a wrong learning rate costs: the score by rate, where several were tried."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from activae.compare.answer import Answer, percent
from activae.compare.collect import DONE
from activae.compare.pairing import LR
from activae.compare.report.charts import Series, figure, line_chart
from activae.compare.report.facets import facets
from activae.compare.report.markup import Cell, Section, grid, note, table
from activae.compare.statistics import Array
from activae.compare.terminal import heading

if TYPE_CHECKING:
    import pandas as pd

METRIC = "val/SE"  # a learning rate is never chosen on test
_FEWEST = 3  # rates, for a valley to be seen
_WITHIN = 1.1  # of the best: the valley's width
_WRONG = 3.0  # times too small, too large


def valleys(answer: Answer) -> Iterator[Section]:
    """The mean validation error of each condition by learning rate, and how wide its valley is."""
    runs = _tried(answer)
    if runs is None:
        return
    charts, rows = [], []
    for title, part in facets(answer.paired, runs):
        series = [s for s in _series(answer, part) if len(s.x) >= _FEWEST]
        if series:
            charts.append(
                figure(title, line_chart(series, "learning rate", METRIC, log_x=True, log_y=True))
            )
            rows += [_row(title, one) for one in series]
    if not charts:
        return
    heads = [
        *([heading(answer)] if len(charts) == 1 else [f"{heading(answer)}, setting"]),
        "best rate",
        METRIC,
        "within 10 %",
        "3 times too small",
        "3 times too large",
    ]
    said = (
        f"{METRIC} by learning rate: the mean over seeds, in a band from the lowest to the "
        "highest. In the table: the rates around the best whose error is at most 10 % above its, "
        "and what a rate costs that is three times too small or too large (between grid points by "
        "a straight line on log scales). –: the grid does not reach so far."
    )
    body = grid(charts) + table(heads, rows, answer.best, "learning rates") + note(said)
    yield Section("rates", "What a wrong learning rate costs", body)


def _tried(answer: Answer) -> pd.DataFrame | None:
    """Runs that tried rates: those that tuned where there are any, else those compared."""
    paired = answer.paired
    runs = paired.runs if paired.tuning is None else paired.tuning
    if LR not in runs or METRIC not in runs:
        return None
    runs = runs[runs["condition"].isin(paired.conditions)]
    return runs if runs[LR].nunique() >= _FEWEST else None


def _series(answer: Answer, runs: pd.DataFrame) -> Iterator[Series]:
    errors = runs[METRIC].where(runs["status"] == DONE, np.inf)
    folded = errors.groupby([runs["condition"], runs[LR]]).agg(["mean", "min", "max"])
    for place, name in enumerate(answer.table["condition"]):
        if name in folded.index:
            own = folded.loc[name].sort_index()
            rates = [float(rate) for rate in own.index]
            mean, low, high = (list(map(float, own[c])) for c in ("mean", "min", "max"))
            yield Series(str(name), place, rates, mean, low, high, marks=True)


def _row(title: str, one: Series) -> list[Cell]:
    rates, errors = np.array(one.x), np.array(one.y)
    errors = np.where(np.isnan(errors), np.inf, errors)
    name = f"{one.name}, {title}" if title else one.name
    head = Cell(escape(name), one.name)
    best = int(errors.argmin())
    if not math.isfinite(errors[best]):
        return [head, Cell("all diverged"), *[Cell("–")] * 4]
    low, high = _around(errors, best)
    edge = " (edge)" if best in (0, len(rates) - 1) else ""
    return [
        head,
        Cell(f"{rates[best]:g}{edge}", float(rates[best])),
        Cell(f"{errors[best]:.4g}", float(errors[best])),
        Cell(f"{rates[low]:g} to {rates[high]:g}", float(rates[high] / rates[low])),
        *(_cost(rates, errors, best, factor) for factor in (1 / _WRONG, _WRONG)),
    ]


def _around(errors: Array, best: int) -> tuple[int, int]:
    """The first and last of the points around the best that are about as good."""
    low = high = best
    limit = _WITHIN * errors[best]
    while low > 0 and errors[low - 1] <= limit:
        low -= 1
    while high < len(errors) - 1 and errors[high + 1] <= limit:
        high += 1
    return low, high


def _cost(rates: Array, errors: Array, best: int, factor: float) -> Cell:
    """How much worse the error is at a wrong rate."""
    wrong = rates[best] * factor
    if not rates[0] <= wrong <= rates[-1] or errors[best] <= 0:
        return Cell("–")
    after = int(np.searchsorted(rates, wrong))
    if not np.isfinite(errors[max(0, after - 1) : after + 1]).all():
        return Cell("diverges", math.inf)
    error = np.exp(np.interp(np.log(wrong), np.log(rates), _log(errors)))
    part = float(error / errors[best] - 1)
    return Cell(f"{'+' if part >= 0 else '−'}{percent(abs(part))} %", part)


def _log(values: Array) -> Sequence[float]:
    return list(np.log(np.where(np.isfinite(values), values, 1e300)))
