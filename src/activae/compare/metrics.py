"""Which figure of the runs is compared, and which way it is better.

In: a table of runs, and the figure asked for. Out: its column, or an error that says what there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from activae.compare.collect import DONE
from activae.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SAMPLER = "sampler"
OF_SAMPLES = "samples/frechet"
# Of the figures in metrics.json; of all others less is better.
_HIGHER_IS_BETTER = (
    *("PSNR", "SSIM", "explained_variance", "steps_per_second"),
    *("accuracy", "knn_accuracy", "nmi", "ari"),
    *("precision", "recall", "density", "coverage", "label_coverage", "label_entropy"),
    "classifier_accuracy",
)
# These are best at a number, and compared by how far from there they are.
_BEST_AT = {"one_nn": 0.5, "nearest_train": 1.0}
_OFF = re.compile(r"\|(?P<metric>.+) - [\d.]+\|")  # as such a distance is called
_BESIDE = ("low", "high", "reconstructions", "real", "copies")  # of samples' figures


def sign_of(metric: str) -> int:
    """-1 where more of the metric is better."""
    return -1 if metric.rpartition("/")[2] in _HIGHER_IS_BETTER else 1


def chosen(
    table: pd.DataFrame, metric: str | None, factor: Sequence[str], keys: Sequence[str]
) -> tuple[str, pd.DataFrame]:
    """The metric to compare by the factor, and the table with it as a column.

    metric: the one asked for; None: test/SE, or what samplers alone change. Raises UserError where
    no run has it as a number.
    """
    metric = _default(table, factor) if metric is None else _asked(table, metric, keys)
    best = _BEST_AT.get(metric.rpartition("/")[2])
    if best is None:
        return metric, table
    off = f"|{metric} - {best:g}|"
    return off, table.assign(**{off: (table[metric].astype(float) - best).abs()})


def is_of_samplers(factor: Sequence[str]) -> bool:
    """Whether it is but what draws new samples, of which no other figure depends."""
    return all(key.split(".")[0] == SAMPLER for key in factor)


def _default(table: pd.DataFrame, factor: Sequence[str]) -> str:
    done = table[table["status"] == DONE]
    if is_of_samplers(factor) and not done.empty:
        scored = done[done[OF_SAMPLES].notna()] if OF_SAMPLES in done else done[:0]
        if len(scored[list(factor)].map(str).drop_duplicates()) > 1:
            return OF_SAMPLES
        raise UserError(
            f"{', '.join(factor)}: the runs differ in what draws new samples alone, which changes "
            f"no test/SE, and {'too few' if len(scored) else 'none'} of them have figures of their "
            "samples: run each sampler with score.samples=true, which compare then ranks by "
            f"--metric {OF_SAMPLES}"
        )
    tested = "test/SE" in table and bool(done["test/SE"].notna().all())
    return "test/SE" if tested else "val/SE"


def _asked(table: pd.DataFrame, metric: str, keys: Sequence[str]) -> str:
    done = table[table["status"] == DONE]
    if off := _OFF.fullmatch(metric):  # as a report's command has it
        metric = off["metric"]
    figures = [
        column
        for column in table.columns
        if column not in (*keys, "path", "job id", "status") and _is_number(done[column])
    ]
    if metric in figures:
        return metric
    null = metric in table and metric not in keys and bool(done[metric].isna().all())
    why = "is null in all runs" if null else "is no figure of these runs"
    near = _nearest(metric, figures)
    choose = f"did you mean {near}? Otherwise choose from" if near else "choose from"
    known = ", ".join(_listed(figures) or figures)
    raise UserError(f"--metric {metric}: {why}; {choose} {known}")


def _nearest(metric: str, figures: Sequence[str]) -> str | None:
    """nll -> nll/test, frechet -> samples/frechet, samples/frechet -> samples/gmm/frechet."""
    figures = sorted(figures, key=lambda name: not name.startswith("test/"))
    first, _, last = metric.partition("/")
    lasts = {name.rpartition("/")[2]: name for name in figures if name.startswith(f"{first}/")}
    spelt = [lasts[each] for each in get_close_matches(last, lasts, 1)]
    longer = [name for name in figures if name.startswith(f"{metric}/")]
    below = [name for name in figures if name.startswith(f"{first}/") and name.endswith(f"/{last}")]
    above = [name for name in figures if name.endswith(f"/{metric}")]
    of_samples = [name for name in (*below, *above) if not _stands_beside(name)]
    main = [name for name in longer if name in _listed(figures)]
    return next(iter((*main, *of_samples, *spelt)), None)


def _listed(figures: Sequence[str]) -> list[str]:
    """Those of test and val, the likelihood, the samples'; those of a sampler in one word."""
    return list(dict.fromkeys(_told(figures)))


def _told(figures: Sequence[str]) -> Iterator[str]:
    for name in figures:
        room, *parts = name.split("/")
        if room in ("test", "val") or name in ("nll/test", "nll/val"):
            yield name
        elif room == "samples" and not _stands_beside(name) and parts != ["n"]:
            yield name if len(parts) == 1 else f"samples/{parts[0]}/..."


def _stands_beside(name: str) -> bool:
    return not set(name.split("/")).isdisjoint(_BESIDE)


def _is_number(column: pd.Series[Any]) -> bool:
    return column.dtype.kind in "if" and bool(column.notna().any())
