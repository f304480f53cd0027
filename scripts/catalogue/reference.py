"""Comparing figures with those of a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from activae.errors import ConfigError
from catalogue.figures import figures_of
from catalogue.options import Option, choose

COLUMNS = ("activation", "parameters", "gain", "chi_1", "s")


@dataclass(frozen=True)
class Verdict:
    """How the figures of one row compare; `differences` is empty where all agree."""

    label: str
    compared: tuple[str, ...]
    differences: tuple[str, ...]


def check(path: Path, options: Mapping[str, Option]) -> list[Verdict]:
    """Compare each row of a csv with what is computed here, to the decimals that the row gives.

    Columns: activation, parameters (`alpha=2.0 beta=1`, or empty for the yaml's own), gain, chi_1,
    s; an empty figure is not compared, lines that begin with # are comments. A figure that cannot
    be computed is a difference. Raises ConfigError, naming file and line, for a row that can't be
    read.
    """
    return [_compare(row, options) for row in read_rows(path)]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a reference file by column. Raises ConfigError if it is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not numbered or tuple(numbered[0][1].split(",")) != COLUMNS:
        raise ConfigError(f"{path}: its first line must be {','.join(COLUMNS)}")
    rows = []
    for number, line in numbered[1:]:
        cells = next(csv.reader([line]))
        if len(cells) != len(COLUMNS) or not all(map(_is_figure, cells[2:])):
            raise ConfigError(
                f"{path}, line {number}: {line!r} must hold {', '.join(COLUMNS)}, the last three "
                "numbers or empty"
            )
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


def _is_figure(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True


def _compare(row: Mapping[str, str], options: Mapping[str, Option]) -> Verdict:
    name, parameters = row["activation"], row["parameters"]
    label = f"{name}({parameters})" if parameters else name
    compared = tuple(figure for figure in COLUMNS[2:] if row[figure])
    try:
        (option,) = choose(options, [name]).values()
        found = figures_of(option.make(**_values(label, parameters)))
    except ConfigError as error:
        return Verdict(label, compared, (str(error),))
    differences = []
    for figure in compared:
        value, expected = getattr(found, figure), row[figure]
        decimals = len(expected.partition(".")[2])
        if value is None or round(value, decimals) != float(expected):
            shown = "undefined" if value is None else f"{value:.{decimals + 2}f}"
            differences.append(f"{figure} is {shown}, the file says {expected}")
    return Verdict(label, compared, tuple(differences))


def _values(label: str, parameters: str) -> dict[str, Any]:
    pairs = [part.partition("=") for part in parameters.split()]
    if not all(sign for _, sign, _ in pairs):
        raise ConfigError(f"{label}: write the parameters as `alpha=2.0 beta=1`")
    return {key: yaml.safe_load(value) for key, _, value in pairs}
