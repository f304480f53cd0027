"""The best learning rate of each condition, on a log grid that grows where the best is at its edge.

A condition is a combination of the values given but for the learning rate and the seeds; what is
compared is SE/val, averaged over the tuning seeds. Where scoring seeds are asked for, each
condition is then trained with its best rate on these, and scored once on test.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice, product
from pathlib import Path
from shlex import quote
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from activae.config.names import key_of
from activae.config.program import training
from activae.config.rates import KEY
from activae.config.settling import container
from activae.config.wording import fits, wrapped
from activae.errors import ConfigError
from activae.results.run_folder import write_text
from activae.sweeps.batches import Batches, Result
from activae.sweeps.folder import TUNED
from activae.sweeps.space import WITH_TEST, WITHOUT_TEST, parse

log = logging.getLogger(__name__)

TABLE = "tuned_lr.json"
_SHOWN = 3  # commands, at the end
_OF_THE_TUNING = ("experiment=tune_lr", "sweep=", "score.test=")
_FINALISTS = 3  # the best by the first seed, and, in a valley, its neighbours


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
    score_seeds: int = 0

    def check(self) -> None:
        """Raise ConfigError for an invalid grid, or one too coarse to tell the best lr."""
        whole = {"points": 8, "extend": 1, "limit": 0, "score_seeds": 0}
        for name, least in whole.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise _wrong(name, value, f"a whole number of {least} or more")
        if not (fits(self.start, float) and 0 < self.start < math.inf):
            raise _wrong("start", self.start, "a number above 0")
        if not (fits(self.factor, float) and 1 < self.factor <= 2):
            raise _wrong("factor", self.factor, "a number above 1, and 2 at the most")
        seeds = container(self.seeds)
        if not (isinstance(seeds, list) and seeds and all(type(s) is int for s in seeds)):
            raise _wrong("seeds", seeds, "a list of whole numbers")

    def lr(self, point: int) -> float:
        """The learning rate of a point, to six digits."""
        return float(f"{self.start * self.factor**point:.6g}")

    def line(self, point: int) -> str:
        """The override that sets it."""
        return f"{self.key}={self.lr(point)!r}"

    def fresh_seeds(self) -> list[str]:
        """The overrides of the scoring seeds: 0, 1, 2 ... without those that tune."""
        untouched = (seed for seed in count() if seed not in self.seeds)
        return [f"seed={seed}" for seed in islice(untouched, self.score_seeds)]


@dataclass
class Condition:
    """A combination to tune, and what is known of its learning rates, by point of the grid.

    finalists: where not all points were trained with all seeds, those that were.
    """

    name: str
    overrides: tuple[str, ...]
    entry: str  # what it is called in the file of rates: see activae.config.rates
    results: dict[int, list[Result]] = field(default_factory=dict)
    finalists: list[int] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a run that tunes it failed, so that its best rate is not known."""
        return any(r.status == "failed" for results in self.results.values() for r in results)

    def job(self, *lines: str) -> list[str]:
        """The overrides of a run of it; `lines` take the place of its own of the same keys."""
        keys = {key_of(line) for line in lines}
        return [*(own for own in self.overrides if key_of(own) not in keys), *lines]

    def mean(self, point: int) -> float:
        """SE/val averaged over the seeds; infinite if a run of them has none."""
        values = [result.se_val for result in self.results[point]]
        return sum(values) / len(values) if all(map(math.isfinite, values)) else math.inf

    def best(self) -> int:
        """The point with the lowest mean; where all diverged, the lowest point."""
        return min(self.finalists or sorted(self.results), key=self.mean)

    def next_points(self, grid: Grid) -> list[int]:
        """The points to train now: all at first, then those beyond the edge with the best.

        None where the best is inside, where the limit is reached, and where runs failed, for
        those would fail again.
        """
        if not self.results:
            return list(range(grid.points))
        lowest, highest = min(self.results), max(self.results)
        if self.failed:
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

    With `grid.score_seeds` their best rates are then scored on test. `seed=` in the lines names
    the seeds of that; without scoring, those that tune. Raises ConfigError for a grid or seeds that
    cannot work, SweepFailed, at the end, if jobs failed.
    """
    folder = Path(str(config.hydra.sweep.dir))
    conditions, tuning, scoring = planned(loader, config, grid, lines)
    names = ", ".join(each.name for each in conditions)
    log.info("tune   %s\n%s", folder, wrapped(f"       {grid.key} of {names}"))
    batches = Batches(launcher, config)
    find_rates(batches, conditions, grid, tuning)
    tell_rates(conditions, grid, len(tuning), folder)
    if scoring:
        _score(batches, conditions, grid, scoring)
    else:
        tell_use(conditions, grid, folder)
    batches.conclude()


def planned(
    loader: ConfigLoader, config: DictConfig, grid: Grid, lines: Sequence[str]
) -> tuple[list[Condition], list[str], list[str]]:
    """What lines and grid ask for, in a folder that is made: the conditions, the override lines of
    the seeds that tune, and of those that score.

    Raises ConfigError as `tune` does.
    """
    grid.check()
    overrides = parse([WITHOUT_TEST, *lines], loader)
    _refuse_what_is_set_here(overrides, lines, grid)
    tuning, scoring = _seeds(overrides, grid)
    conditions = conditions_of(overrides, config)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    return conditions, tuning, scoring


def find_rates(
    batches: Batches, conditions: Sequence[Condition], grid: Grid, seeds: Sequence[str]
) -> None:
    """Train the grid of each condition with each seed ("seed=7"), and what extends it.

    `condition.best()` is then the point of its best rate, `grid.lr` that rate.
    """
    while todo := [(each, p) for each in conditions for p in each.next_points(grid)]:
        jobs = [each.job(grid.line(point), seed) for each, point in todo for seed in seeds]
        results = iter(batches.launch(jobs))
        for condition, point in todo:
            condition.results[point] = [next(results) for _ in seeds]


def find_rates_in_rounds(
    batches: Batches, conditions: Sequence[Condition], grid: Grid, seeds: Sequence[str]
) -> None:
    """As `find_rates`, in two thirds of the runs: the other seeds train the best few of the first.

    After Jamieson & Talwalkar 2016, Non-stochastic best arm identification and hyperparameter
    optimization (successive halving), with seeds for the resource.
    """
    find_rates(batches, conditions, grid, seeds[:1])
    known = [each for each in conditions if not each.failed]
    for each in known:
        each.finalists = sorted(sorted(sorted(each.results), key=each.mean)[:_FINALISTS])
    todo = [(each, point) for each in known for point in each.finalists]
    if others := seeds[1:]:
        jobs = [each.job(grid.line(point), seed) for each, point in todo for seed in others]
        results = iter(batches.launch(jobs))
        for each, point in todo:
            each.results[point] += [next(results) for _ in others]


def _score(
    batches: Batches, conditions: Sequence[Condition], grid: Grid, seeds: Sequence[str]
) -> None:
    """Score each condition with its best rate on test; where every rate diverges, so does this."""
    known = [each for each in conditions if not each.failed]
    unknown = [each.name for each in conditions if each.failed]
    if unknown:
        told = f"not scored, because runs that tune it failed: {', '.join(unknown)}"
        log.warning("%s", wrapped(told))
    if known:
        log.info("score  each with its %s, on test, by %d fresh seeds", grid.key, len(seeds))
        best = [(each, grid.line(each.best())) for each in known]
        batches.launch([each.job(WITH_TEST, lr, seed) for each, lr in best for seed in seeds])


def _refuse_what_is_set_here(
    overrides: Mapping[str, Override], lines: Sequence[str], grid: Grid
) -> None:
    if grid.key in overrides:
        raise ConfigError(
            f"{overrides[grid.key].input_line}: {grid.key} is what is tuned; its grid is set with "
            "hydra.sweeper.start, .factor and .points"
        )
    if "lr" in overrides and grid.key == KEY:
        raise ConfigError(f"{overrides['lr'].input_line}: the learning rate is what is tuned")
    given = [line for line in lines if key_of(line) == key_of(WITH_TEST)]
    if given and grid.score_seeds:
        raise ConfigError(
            f"{given[-1]}: runs that tune never see the test split, those that score do; to tune "
            "alone: hydra.sweeper.score_seeds=0"
        )


def _seeds(overrides: dict[str, Override], grid: Grid) -> tuple[list[str], list[str]]:
    """The override lines of the seeds that tune and of those that score; "seed" is taken out.

    Raises ConfigError where one is to do both.
    """
    given = _lines(overrides.pop("seed")) if "seed" in overrides else []
    own = [f"seed={seed}" for seed in grid.seeds]
    if not grid.score_seeds:
        return given or own, []
    shared = [seed for seed in given if seed in own]
    if shared:
        raise ConfigError(
            f"{', '.join(shared)}: tunes already (hydra.sweeper.seeds={container(grid.seeds)}), "
            "and a seed that chose the rate would flatter it; score with other seeds"
        )
    return own, given or grid.fresh_seeds()


def conditions_of(overrides: Mapping[str, Override], config: DictConfig) -> list[Condition]:
    """The combinations of all values; named by those that are combined, or by the activation."""
    combined = [key for key, each in overrides.items() if each.is_sweep_override()]
    conditions = []
    for lines in product(*map(_lines, overrides.values())):
        chosen = dict(zip(overrides, lines, strict=True))
        values = [chosen[key].partition("=")[2] for key in combined]
        name = ",".join(values) or str(config.hydra.runtime.choices.activation)
        by_name = combined in ([], ["activation"])
        entry = name if by_name else " ".join(quote(chosen[key]) for key in combined)
        conditions.append(Condition(name, lines, entry))
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


def tell_rates(conditions: Sequence[Condition], grid: Grid, seeds: int, folder: Path) -> None:
    """Tell the best rate of each by so many seeds, and keep the table in the folder."""
    rows = [each.row(grid) for each in conditions]
    tuned = {each.entry: row["lr"] for each, row in zip(conditions, rows, strict=True)}
    write_text(folder / TUNED, OmegaConf.to_yaml(OmegaConf.create(tuned)))
    write_text(folder / TABLE, json.dumps(rows, indent=1) + "\n")
    mean = f"SE/val, mean of {seeds}"
    line = f"%10s  %{len(mean)}s  %-12s  %-16s  %s"
    log.info(line, "lr", mean, "extended", "best at the edge", "condition")
    for row in rows:  # the name last, which may be long
        lr, se = ("none" if row[k] is None else f"{row[k]:.4g}" for k in ("lr", "SE/val"))
        log.info(line, lr, se, row["extended"], row["at_edge"], row["condition"])
    edges = [row["condition"] for row in rows if row["at_edge"] != "no"]
    if edges:
        told = f"at the edge of the grid after all: {', '.join(edges)}"
        log.warning("%s", wrapped(f"{told}; hydra.sweeper.limit=N adds more"))
    log.info("kept   %s", folder / TUNED)


def tell_use(conditions: Sequence[Condition], grid: Grid, folder: Path) -> None:
    """Print the commands that use the rates: all of them on fresh seeds, and each of the best."""
    known = [c for c in conditions if not c.failed and math.isfinite(c.mean(c.best()))]
    if len(known) > 1 and grid.key == KEY:
        lines = [*_combined(known), f"lr={folder / TUNED}", "seed=range(5)"]
        log.info("use    %s -m %s", training(), " ".join(map(quote, lines)))
    for each in sorted(known, key=lambda c: c.mean(c.best()))[:_SHOWN]:
        lines = _of_what_is_tuned(each.job(grid.line(each.best())))
        log.info("use    %s %s", training(), " ".join(map(quote, lines)))


def _combined(conditions: Sequence[Condition]) -> list[str]:
    """The override lines that combine to the conditions: each key with all its values."""
    values: dict[str, dict[str, None]] = {}
    for line in _of_what_is_tuned([line for each in conditions for line in each.overrides]):
        key, _, value = line.partition("=")
        values.setdefault(key, {})[value] = None
    return [f"{key}={','.join(found)}" for key, found in values.items()]


def _of_what_is_tuned(lines: Sequence[str]) -> list[str]:
    """The lines without those of the tuning itself."""
    return [line for line in lines if not line.startswith(_OF_THE_TUNING)]


def _wrong(key: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(f"hydra.sweeper.{key}={value}: must be {wanted}")
