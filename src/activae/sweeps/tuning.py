"""The best learning rate of each condition, on a log grid that grows where the best is at its edge.

A condition is a combination of the values given but for the learning rate and the seeds; what is
compared is SE/val, averaged over the tuning seeds.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from activae.config.settling import container
from activae.config.wording import clipped, wrapped
from activae.errors import ConfigError
from activae.results.run_folder import write_text
from activae.sweeps.batches import Batches, Result
from activae.sweeps.space import WITHOUT_TEST, parse

log = logging.getLogger(__name__)

TUNED = "tuned_lr.yaml"
TABLE = "tuned_lr.json"


@dataclass(frozen=True)
class Grid:
    """What configs/hydra/sweeper/lr_grid.yaml sets; see there. Points are counted from `start`."""

    key: str
    start: float
    factor: float
    points: int
    extend: int
    limit: int
    seeds: Sequence[int]

    def check(self) -> None:
        """Raise ConfigError for an invalid grid, or one too coarse to tell the best lr."""
        whole = {"points": 8, "extend": 1, "limit": 0}
        for name, least in whole.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise _wrong(name, value, f"a whole number of {least} or more")
        if not (_is_number(self.start) and 0 < self.start < math.inf):
            raise _wrong("start", self.start, "a number above 0")
        if not (_is_number(self.factor) and 1 < self.factor <= 2):
            raise _wrong("factor", self.factor, "a number above 1, and 2 at the most")
        seeds = container(self.seeds)
        if not (isinstance(seeds, list) and seeds and all(type(s) is int for s in seeds)):
            raise _wrong("seeds", seeds, "a list of whole numbers")

    def lr(self, point: int) -> float:
        """The learning rate of a point, to six digits."""
        return float(f"{self.start * self.factor**point:.6g}")


@dataclass
class Condition:
    """A combination to tune, and what is known of its learning rates, by point of the grid."""

    name: str
    overrides: tuple[str, ...]
    results: dict[int, list[Result]] = field(default_factory=dict)

    def mean(self, point: int) -> float:
        """SE/val averaged over the seeds; infinite if a run of them has none."""
        values = [result.se_val for result in self.results[point]]
        return sum(values) / len(values) if all(map(math.isfinite, values)) else math.inf

    def best(self) -> int:
        """The point with the lowest mean; where all diverged, the lowest point."""
        return min(sorted(self.results), key=self.mean)

    def next_points(self, grid: Grid) -> list[int]:
        """The points to train now: all at first, then those beyond the edge with the best.

        None where the best is inside, where the limit is reached, and where runs failed, for
        those would fail again.
        """
        if not self.results:
            return list(range(grid.points))
        lowest, highest = min(self.results), max(self.results)
        if any(r.status == "failed" for results in self.results.values() for r in results):
            return []
        if self.best() == lowest:
            return list(range(max(-grid.limit, lowest - grid.extend), lowest))
        if self.best() == highest:
            end = min(grid.points + grid.limit, highest + 1 + grid.extend)
            return list(range(highest + 1, end))
        return []

    def row(self, grid: Grid) -> dict[str, Any]:
        """What the table says of it."""
        best, points = self.best(), sorted(self.results)
        found = math.isfinite(self.mean(best))
        added = [name for name, on in self._added(grid).items() if on]
        return {
            "condition": self.name,
            "lr": grid.lr(best) if found else None,
            "SE/val": self.mean(best) if found else None,
            "extended": " and ".join(added) or "no",
            "at_edge": {points[0]: "lowest", points[-1]: "highest"}.get(best, "no"),
            "grid": {
                f"{grid.lr(p):g}": m if math.isfinite(m := self.mean(p)) else None for p in points
            },
        }

    def _added(self, grid: Grid) -> dict[str, bool]:
        return {"down": min(self.results) < 0, "up": max(self.results) >= grid.points}


def tune(
    loader: ConfigLoader,
    config: DictConfig,
    launcher: Launcher,
    grid: Grid,
    lines: Sequence[str],
) -> None:
    """Tune the conditions that override lines combine; leave the table in the sweep's folder.

    Raises ConfigError for a grid that cannot work, SweepFailed, at the end, if jobs failed.
    """
    grid.check()
    folder = Path(str(config.hydra.sweep.dir))
    overrides = parse([WITHOUT_TEST, *lines], loader)
    if grid.key in overrides:
        raise ConfigError(
            f"{overrides[grid.key].input_line}: {grid.key} is what is tuned; its grid is set with "
            "hydra.sweeper.start, .factor and .points"
        )
    seeds = [f"seed={seed}" for seed in grid.seeds]
    if "seed" in overrides:
        seeds = _lines(overrides.pop("seed"))
    conditions = _conditions(overrides, config)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    names = ", ".join(each.name for each in conditions)
    log.info("tune   %s\n%s", folder, wrapped(f"       {grid.key} of {names}"))
    batches = Batches(launcher, config)
    while todo := [(each, p) for each in conditions for p in each.next_points(grid)]:
        jobs = [
            [*condition.overrides, f"{grid.key}={grid.lr(point)!r}", seed]
            for condition, point in todo
            for seed in seeds
        ]
        results = iter(batches.launch(jobs))
        for condition, point in todo:
            condition.results[point] = [next(results) for _ in seeds]
    _tell([each.row(grid) for each in conditions], len(seeds), folder)
    batches.conclude()


def _conditions(overrides: Mapping[str, Override], config: DictConfig) -> list[Condition]:
    """The combinations of all values; named by those that are combined, or by the activation."""
    combined = [key for key, each in overrides.items() if each.is_sweep_override()]
    conditions = []
    for lines in product(*map(_lines, overrides.values())):
        chosen = dict(zip(overrides, lines, strict=True))
        values = [chosen[key].partition("=")[2] for key in combined]
        name = ",".join(values) or str(config.hydra.runtime.choices.activation)
        conditions.append(Condition(name, lines))
    return conditions


def _lines(override: Override) -> list[str]:
    """The override with each of its values."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.input_line}: only listed values can be combined, not an interval"
        )
    return [f"{override.get_key_element()}={text}" for text in override.sweep_string_iterator()]


def _tell(rows: Sequence[Mapping[str, Any]], seeds: int, folder: Path) -> None:
    tuned = {row["condition"]: row["lr"] for row in rows}
    write_text(folder / TUNED, OmegaConf.to_yaml(OmegaConf.create(tuned)))
    write_text(folder / TABLE, json.dumps(rows, indent=1) + "\n")
    width = min(30, max(len(row["condition"]) for row in rows))
    mean = f"SE/val, mean of {seeds}"
    log.info(
        "%*s  %10s  %*s  %-12s  best at the edge", width, "", "lr", len(mean), mean, "extended"
    )
    for row in rows:
        name, extended, edge = clipped(row["condition"], width), row["extended"], row["at_edge"]
        lr, se = ("none" if row[k] is None else f"{row[k]:.4g}" for k in ("lr", "SE/val"))
        log.info("%*s  %10s  %*s  %-12s  %s", width, name, lr, len(mean), se, extended, edge)
    edges = [row["condition"] for row in rows if row["at_edge"] != "no"]
    if edges:
        told = f"at the edge of the grid after all: {', '.join(edges)}"
        log.warning("%s", wrapped(f"{told}; hydra.sweeper.limit=N adds more"))
    log.info("kept   %s", folder / TUNED)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(key: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(f"hydra.sweeper.{key}={value}: must be {wanted}")
