"""What a race leaves in its folder, and what a comparison of its runs makes of it.

Its verdict allows for the looks that it took; p and intervals of a fixed number of seeds do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORD = "race.json"
METRIC = "test/SE"


@dataclass(frozen=True)
class Told:
    """The verdict of a race that has come to its end, those that are in, the best first, and what
    it may be relied on for; empty where that is not known.
    """

    verdict: str
    best: list[str]
    guarantee: str


def of_a_race(runs: Iterable[str]) -> bool:
    """Whether there are runs of a race among these, given by their folders."""
    return any((sweep / RECORD).exists() for sweep in {Path(run).parent for run in runs})


def found_of(runs: Iterable[str]) -> dict[str, Any] | None:
    """What race.json says of the race that all runs are of.

    None where they are of none or of several, or the file is damaged.
    """
    try:
        [sweep] = {Path(run).parent for run in runs}
        found = json.loads((sweep / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def told_of(runs: Iterable[str], conditions: Mapping[str, str]) -> Told | None:
    """The verdict of the race that the runs are of.

    conditions: those compared, and what each is called by its values alone, as a race does. None
    where they are of none or of several, of one that goes on, or of other conditions.
    """
    found = found_of(runs) or {}
    try:
        names = {_plain(row["condition"]): bool(row.get("failed")) for row in found["conditions"]}
        best = [_plain(name) for name in found["best"]]
        verdict, guarantee = str(found["verdict"]), str(found.get("guarantee", ""))
    except (LookupError, TypeError, AttributeError):
        return None
    known = {_plain(bare): name for name, bare in conditions.items()}
    judged = {name for name, failed in names.items() if not failed}  # others may have no score
    if not judged <= known.keys() <= names.keys() or not known.keys() >= set(best):
        return None
    return Told(verdict, [known[name] for name in best], guarantee)


def _plain(name: str) -> str:
    """As both name a condition: the values of several keys have a comma between them."""
    return name.replace(", ", ",")
