"""Columns of new rows are found by the names that those trained on had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from activae.data.sources.files import shortened
from activae.errors import DataError


def places_of(
    rows: str, known: Sequence[str], given: Sequence[str], left_out: Iterable[Any] = ()
) -> list[int]:
    """Where each of the known columns stands among those given.

    rows: what the message calls the rows. left_out: names that may be there as well.

    Raises DataError, which names every column that is missing, unknown or there twice.
    """
    places = {name: place for place, name in enumerate(given)}
    faults = {
        "lacks": [name for name in known if name not in places],
        "has the unknown": [name for name in given if name not in {*known, *left_out}],
        "has twice": [name for name in known if list(given).count(name) > 1],
    }
    if any(faults.values()):
        said = "; ".join(f"{fault} {shortened(names)}" for fault, names in faults.items() if names)
        raise DataError(
            f"{rows}: other columns than those that were trained on: {said}. Their order does not "
            f"matter; give {shortened(known)}."
        )
    return [places[name] for name in known]
