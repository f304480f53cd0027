"""A run of a sweep, how it ended, and what is told of it meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig

from activae.config.settling import from_values

if TYPE_CHECKING:
    from activae.sweeps.batches import Pruning


Status = Literal["completed", "diverged", "pruned", "failed", "interrupted"]


@dataclass(frozen=True, eq=False)
class Job:
    """One run to train: plain values, so that it is small and travels between processes.

    id: hash of its config (`activae.config.identity.job_id`).
    number: its place in the sweep.
    overrides: what tells it from other runs on the command line.
    folder: where it is trained.
    settled: its settled config.
    composed: the config as Hydra composed it, with Hydra's own part.
    condition: what it is called without its seed.
    old_failure: when the failure found at launch was noted; it is trained again nevertheless.
    pruning: the trial of a search that it is, if others may show it not to be worth its end.
    """

    id: str
    number: int
    overrides: tuple[str, ...]
    folder: Path
    settled: dict[str, Any]
    composed: dict[str, Any]
    condition: str = ""
    old_failure: int | None = None
    pruning: Pruning | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.folder.name

    @property
    def cfg(self) -> DictConfig:
        """Its settled config; made at each call, which takes some milliseconds."""
        return from_values(self.settled)


@dataclass(frozen=True)
class Outcome:
    """How a job ended: its best SE/val if it has one, the reason if it has none.

    fresh: it was trained by this launch, not found done.
    seconds: how long that took.
    """

    status: Status
    se_val: float | None = None
    reason: str = ""
    fresh: bool = True
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there is a result to compare."""
        return self.status in ("completed", "pruned")


@dataclass(frozen=True)
class Trials:
    """The search that a batch of jobs is a part of.

    ended: how many of its trials ended before, by status; wanted: how many there are to be; runs:
    how many a trial takes; begun: how many of those the trials of this batch have had already.
    """

    ended: dict[str, int]
    wanted: int
    runs: int = 1
    begun: int = 0


@dataclass(frozen=True)
class Stepped:
    """A job has reached `step` of `total_steps` optimizer steps."""

    job: str
    step: int
    total_steps: int


@dataclass(frozen=True)
class Ended:
    """A job has ended; those found done count too."""

    job: str
    outcome: Outcome


@dataclass(frozen=True)
class Said:
    """Something a user should read once, such as why some jobs cannot share a stack.

    routine: it is said at each launch, so not of every batch of many.
    """

    text: str
    routine: bool = False


Event = Stepped | Ended | Said
Report = Callable[[Event], None]
