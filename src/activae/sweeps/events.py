"""What is told of a sweep while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from activae.sweeps.job import Outcome


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
    """Something a user should read once, such as why some jobs cannot share a stack."""

    text: str


Event = Stepped | Ended | Said
Report = Callable[[Event], None]
