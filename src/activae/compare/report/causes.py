"""Why a condition does well or badly, and what it costs: diagnostics and times beside the score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from activae.compare.answer import Answer
from activae.compare.report.charts import Point, Series, figure, line_chart, scatter
from activae.compare.report.facets import at_best_lr, facets
from activae.compare.report.markup import Cell, Section, grid, note, table
from activae.compare.terminal import fixed, heading

if TYPE_CHECKING:
    import pandas as pd

_PREFIX = "diagnostics/"
_RANK = "effective rank"
_FEWEST = 5  # conditions, for a correlation among them to say anything
_STRIKING = 0.7

_Values = dict[str, float]


def why(answer: Answer) -> Iterator[Section]:
    """Dead and saturated units, effective rank, chi_1 and gradients, beside the score."""
    runs = at_best_lr(answer.paired)
    of_layers = {kind: _layers(runs, kind) for kind in ("dead", "saturated", "chi_1")}
    causes: list[tuple[str, _Values, Callable[[float], str]]] = []
    for kind, columns in of_layers.items():
        if columns:
            title = "χ₁" if kind == "chi_1" else f"{kind} units"
            shown = _plain if kind == "chi_1" else _per_cent
            causes.append((title, _means(answer, runs[columns].mean(axis=1), runs), shown))
    if f"{_PREFIX}effective_rank" in runs:
        rank = _means(answer, runs[f"{_PREFIX}effective_rank"], runs)
        causes.append((_RANK, rank, _plain))
    flow = _layers(runs, "gradient_norm")
    if len(flow) > 1:
        with np.errstate(all="ignore"):
            ratio = runs[flow[0]] / runs[flow[-1]]
        causes.append(("gradient ratio", _means(answer, ratio, runs), _plain))
    causes = [cause for cause in causes if any(map(math.isfinite, cause[1].values()))]
    if not causes:
        return
    body = _table(answer, causes)
    body += note(
        "On the first samples of the validation split, with the final weights; means over layers "
        "and seeds. Dead: units whose slope is zero whatever comes in. Saturated: outputs where "
        "the slope is below 5 % of its largest. χ₁: the factor by which a layer of random weights "
        "scales a squared gradient; 1 keeps it. Effective rank: of the code, at most its "
        "dimension. Gradient ratio: the norm in the first layer over that in the last."
        + _correlations(answer, causes)
    )
    if len(flow) > 1:
        charts = [figure("Gradient norm by layer", _flow(answer, runs, flow))]
        ranks = [values for title, values, _ in causes if title == _RANK]
        for rank in ranks:
            charts += [figure(f"{answer.metric} by effective rank", _by_rank(answer, rank))]
        body += grid(charts)
    yield Section("why", "Why", body)


def _layers(runs: pd.DataFrame, kind: str) -> list[str]:
    """The columns of a diagnostic, a layer each, from the first layer to the last."""
    return [c for c in runs.columns if c.startswith(f"{_PREFIX}{kind}/") and runs[c].notna().any()]


def _means(answer: Answer, values: pd.Series[float], runs: pd.DataFrame) -> _Values:
    """Of each condition, in the order of the ranking."""
    means = values.replace([np.inf, -np.inf], np.nan).groupby(runs["condition"]).mean()
    return {str(name): float(means.get(name, math.nan)) for name in answer.table["condition"]}


def _table(answer: Answer, causes: Sequence[tuple[str, _Values, Callable[[float], str]]]) -> str:
    number = fixed(list(answer.table.itertuples()))
    largest = [max(filter(math.isfinite, map(abs, v.values()))) for _, v, _ in causes]
    rows = []
    for row in answer.table.itertuples():
        name = str(row.condition)
        cells = [Cell(escape(name), name), Cell(number(row.mean), float(row.mean))]
        for (_, values, shown), most in zip(causes, largest, strict=True):
            value = values[name]
            if math.isnan(value):
                cells.append(Cell("–"))
                continue
            width = round(60 * abs(value) / most) if most else 0
            cells.append(Cell(f'{shown(value)}<i style="width:{width}px"></i>', value))
        rows.append(cells)
    heads = [heading(answer), answer.metric, *(title for title, _, _ in causes)]
    return table(heads, rows, answer.best, f"diagnostics by {answer.factor}")


def _per_cent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _correlations(answer: Answer, causes: Sequence[tuple[str, _Values, Any]]) -> str:
    """What goes with the score among the conditions: Spearman's rank correlation."""
    means = answer.table.set_index("condition")["mean"]
    said = []
    for title, values, _ in causes:
        pairs = np.array([(means[name], value) for name, value in values.items()])
        pairs = pairs[np.isfinite(pairs).all(1)]
        if len(pairs) < _FEWEST or len(np.unique(pairs[:, 1])) < 2 or np.ptp(pairs[:, 0]) == 0:
            continue
        rho = float(stats.spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
        if abs(rho) >= _STRIKING:
            said.append(f"{title} ({rho:+.1f})".replace("-", "−"))
    if not said:
        return ""
    return (
        f" What goes with {answer.metric} among the conditions, by rank correlation: "
        f"{', '.join(said)}; a hint, no proof."
    )


def _flow(answer: Answer, runs: pd.DataFrame, columns: Sequence[str]) -> str:
    """The gradient's norm through the network, a line for each condition."""
    means = runs.groupby("condition")[list(columns)].mean()
    series = [
        Series(str(name), place, range(len(columns)), list(map(float, means.loc[name])), marks=True)
        for place, name in enumerate(answer.table["condition"])
        if name in means.index
    ]
    names = [column.rpartition("/")[2] for column in columns]
    short = [name.replace("encoder.", "e.").replace("decoder.", "d.") for name in names]
    return line_chart(
        series, "layer (e: encoder, d: decoder)", "gradient norm", log_y=True, labels=short
    )


def _by_rank(answer: Answer, rank: _Values) -> str:
    points = [
        Point(str(row.condition), place, rank[str(row.condition)], float(row.mean))
        for place, row in enumerate(answer.table.itertuples())
    ]
    points = [p for p in points if math.isfinite(p.x) and math.isfinite(p.y)]
    return scatter(points, "effective rank of the code", answer.metric, ())


def cost(answer: Answer) -> Iterator[Section]:
    """The score against time a step and parameters, and who is on the Pareto front."""
    charts = []
    for title, runs in facets(answer.paired, at_best_lr(answer.paired)):
        costs = {"ms a step": 1000 / runs["steps_per_second"]} if "steps_per_second" in runs else {}
        if "parameters" in runs and runs["parameters"].nunique() > 1:
            costs["parameters"] = runs["parameters"]
        for unit, values in costs.items():
            points = _points(answer, runs, values)
            if len(points) > 1:
                drawn = scatter(points, unit, answer.metric, _front(points, answer.paired.sign))
                charts.append(figure(title or f"{answer.metric} by {unit}", drawn))
    if charts:
        said = (
            f"Mean {answer.metric} against the median over runs. The dotted line joins those that "
            "no other beats in both. Times were taken while the sweep ran, beside its other runs: "
            "small differences may be the machine's."
        )
        yield Section("cost", "What it costs", grid(charts) + note(said))


def _points(answer: Answer, runs: pd.DataFrame, values: pd.Series[float]) -> list[Point]:
    if answer.metric not in runs:
        return []
    scores = runs.groupby("condition")[answer.metric].mean()
    costs = values.groupby(runs["condition"]).median()
    found = [
        Point(str(name), place, float(costs.get(name, math.nan)), float(scores.get(name, math.nan)))
        for place, name in enumerate(answer.table["condition"])
    ]
    return [point for point in found if math.isfinite(point.x) and math.isfinite(point.y)]


def _front(points: Sequence[Point], sign: int) -> list[Point]:
    """Those that no other beats in both cost and score, by cost."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, sign * p.y)):
        if not front or sign * point.y < sign * front[-1].y:
            front.append(point)
    return front
