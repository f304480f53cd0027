"""Which jobs are alike, and so can share data and a compiled graph, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from activae.config.identity import data_key, graph_key
from activae.data.module import AutoencoderDataModule
from activae.sweeps.job import Job

# Compiling takes 7 to 9 s a graph, and saves 0.8 ms at each step of the article's network with
# batches of 32, more with larger ones (docs/benchmarks.md).
STEPS_WORTH_COMPILING = 10_000


@dataclass(frozen=True)
class Group:
    """Jobs that agree in all but seed, lr, and the strengths of decay and penalties."""

    data: str
    graph: str
    jobs: tuple[Job, ...]


def group(jobs: Sequence[Job]) -> list[Group]:
    """The jobs by what they can share: those with the same data, and within them the same graph."""
    found: dict[tuple[str, str], list[Job]] = {}
    order: dict[str, int] = {}
    for job in jobs:
        key = data_key(job.settled)
        order.setdefault(key, len(order))
        found.setdefault((key, graph_key(job.settled)), []).append(job)
    groups = [Group(data, graph, tuple(members)) for (data, graph), members in found.items()]
    return sorted(groups, key=lambda each: order[each.data])


def in_common(jobs: Sequence[Job], others: Sequence[Job]) -> str:
    """What `jobs` share and tells them from `others`, or nothing: " of activation=gelu"."""
    shared, everywhere = (
        set.intersection(*(set(job.overrides) for job in some)) for some in (jobs, others)
    )
    told = ",".join(sorted(shared - everywhere))
    return f" of {told}" if told else ""


def worth_compiling(groups: Sequence[Group], data: AutoencoderDataModule) -> set[str]:
    """The graphs whose jobs take enough steps together, counting those that are done already.

    So it does not depend on how often the sweep was interrupted. `data` is that of the groups, of
    whose training part the jobs may take another fraction.
    """
    rows = len(data.samples["train"]) / data.train_fraction
    steps: dict[str, float] = {}
    for each in groups:
        taken = sum(_steps(job.settled, rows) for job in each.jobs)
        steps[each.graph] = steps.get(each.graph, 0) + taken
    return {graph for graph, taken in steps.items() if taken >= STEPS_WORTH_COMPILING}


def _steps(settled: Mapping[str, Any], rows: float) -> int:
    data, trainer = settled["data"], settled["trainer"]
    epoch = ceil(rows * data["train_fraction"] / data["batch_size"])
    whole = int(trainer["max_epochs"]) * epoch
    return min(whole, trainer["max_steps"] or whole)
