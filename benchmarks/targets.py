"""What the project promises about its speed, and whether a measurement bears it out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.race import Result
from benchmarks.sampling import BARE, SamplingTimes
from benchmarks.start_up import StartUp
from benchmarks.sweep import STACKED, SweepTimes


@dataclass(frozen=True)
class Verdict:
    """A measured value beside its limit; `remark` says why it can't be judged, where it can't."""

    promise: str
    measured: float | None
    limit: float
    unit: str
    remark: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the value keeps within its limit."""
        return None if self.measured is None or self.remark else self.measured <= self.limit


# (workload, contender, of whose step, at most so many times)
_RATIOS = (
    ("article", "ours", "raw", 1.1),
    ("mnist", "ours", "raw", 1.1),
    ("article", "compiled", "raw", 0.75),
    ("article", "ours", "keras", 0.33),
    ("mnist", "ours", "usual", 0.25),
)


# (batch size, of whose time, at most this share or so many times)
_SWEEPS = ((32, "keras", 1 / 8), (256, "keras", 1 / 3), (32, "usual", 1 / 8), (256, "usual", 1 / 8))
_BOUND = 2.5
_SAMPLER, _SAMPLES_A_SECOND, _OF_DECODER = "gmm", 1e5, 1.2


def verdicts(
    results: Mapping[str, Result],
    start_up: StartUp | None,
    sweeps: Sequence[SweepTimes] = (),
    sampled: SamplingTimes | None = None,
) -> list[Verdict]:
    """Every promise that can be judged by what was measured."""
    found = []
    for workload, name, other, limit in _RATIOS:
        result = results.get(workload)
        measured = None if result is None else result.ratio(name, other)
        if result is not None and measured is not None:
            remark = eager_remark(result, name)
            promise = f"{workload}: {name} / {other}"
            found.append(Verdict(promise, measured, limit, "x", remark))
    if start_up is not None:
        found += _start_up_verdicts(start_up)
    if sampled is not None:
        seconds, ratio = 1e5 / sampled.rate(_SAMPLER), sampled.ratio(_SAMPLER)
        found.append(Verdict(f"10^5 samples, {_SAMPLER}", seconds, 1e5 / _SAMPLES_A_SECOND, "s"))
        found.append(Verdict(f"samples, {_SAMPLER} / {BARE}", ratio, _OF_DECODER, "x"))
    return found + [verdict for times in sweeps for verdict in _sweep_verdicts(times)]


def _sweep_verdicts(times: SweepTimes) -> Iterator[Verdict]:
    limits = [(name, limit) for size, name, limit in _SWEEPS if size == times.batch_size]
    for name, limit in (*limits, ("products", _BOUND)):
        measured = times.ratio(STACKED, name)
        if measured is not None:
            promise = f"sweep, batch {times.batch_size}: stacked / {name}"
            yield Verdict(promise, measured, limit, "x")


def eager_remark(result: Result, name: str) -> str:
    """Says so where a contender that should have compiled its step did not."""
    ignored = name == "compiled" and not result.facts.get(name, {}).get("graphs")
    return "trainer.compile=true compiled nothing" if ignored else ""


def _start_up_verdicts(start_up: StartUp) -> list[Verdict]:
    return [
        Verdict("default run, all in all", median(start_up.default), 15, "s"),
        Verdict("--help imports torch (1: yes)", float(start_up.help_imports_torch), 0, ""),
        Verdict("share of TensorBoard and progress", 100 * start_up.overhead("minimal"), 15, "%"),
        Verdict("share of all that a run records", 100 * start_up.overhead("bare"), 15, "%"),
    ]
