"""A race: which condition is best, as soon as it is certain; or the best set, when the budget ends.

The learning rate of each condition is tuned first, on the validation split and by seeds of its own.
Then all train seed by seed. After each seed the test scores so far decide who leaves; `evidence`
says by what rule, and why one may look so often. Test decides because it chose neither the rate nor
the best epoch. A race that was stopped goes on where it was: the folder has the runs, and
`race.json` says how much of the time is spent.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import Any

import numpy as np
from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from activae.compare.race.evidence import Standing, standing
from activae.compare.race.record import RECORD
from activae.compare.race.table import Scored, told_at_the_end, told_of_a_look, told_while_racing
from activae.compare.statistics import Array
from activae.config.names import key_of
from activae.config.program import config_flags, training
from activae.config.wording import fits, wrapped
from activae.errors import ConfigError
from activae.results.run_folder import read_metrics, write_text
from activae.sweeps.batches import Batches, Result
from activae.sweeps.space import WITH_TEST
from activae.sweeps.tuning import Condition, Grid, find_rates_in_rounds, planned, tell_rates
from activae.training.process import cores

log = logging.getLogger(__name__)

_SECONDS_A_MINUTE = 60
_OF_THE_SWEEP = ("experiment", "score.test", "sweep", "resume")


@dataclass(frozen=True)
class Budget:
    """What `race` sets in configs/experiment/race.yaml; see there."""

    seeds: int
    minutes: float | None
    alpha: float

    def check(self) -> None:
        """Raise ConfigError for a value that cannot be."""
        if type(self.seeds) is not int or self.seeds < 1:
            raise ConfigError(f"race.seeds={self.seeds}: must be a whole number of 1 or more")
        if self.minutes is not None and not (fits(self.minutes, float) and self.minutes > 0):
            raise ConfigError(f"race.minutes={self.minutes}: must be a number above 0, or null")
        if not (fits(self.alpha, float) and 0 < self.alpha < 1):
            raise ConfigError(f"race.alpha={self.alpha}: must be a number between 0 and 1")


@dataclass
class Race:
    """What is known so far: scores [seeds, conditions], as `evidence` takes them, and who is in."""

    conditions: list[Condition]
    rates: list[float]
    budget: Budget
    scores: Array
    failed: set[int] = field(default_factory=set)
    standing: Standing = field(init=False)

    def __post_init__(self) -> None:
        self.standing = standing(self.scores, self.budget.alpha)

    def racing(self) -> list[int]:
        """The conditions that are trained on: they have not left, and none of their runs failed."""
        return [index for index in self.standing.still_in if index not in self.failed]

    def add(self, racing: Sequence[int], results: Sequence[Result]) -> None:
        """Take in how a seed went for those that were racing."""
        row = np.full((1, len(self.conditions)), np.nan)
        for index, result in zip(racing, results, strict=True):
            if result.status == "failed":
                self.failed.add(index)
            else:
                row[0, index] = _test_score(result)
        self.scores = np.concatenate([self.scores, row])
        self.standing = standing(self.scores, self.budget.alpha)

    def scored(self) -> Scored:
        """What the tables tell of."""
        names = [each.name for each in self.conditions]
        return Scored(names, self.rates, self.scores, self.standing, self.failed, self.budget.alpha)


@dataclass
class _Spent:
    """The time that a race has taken, those of its launches that came before included.

    seeds: how many have been looked at; what is trained already is read again, and costs nothing.
    """

    file: Path
    names: list[str]
    seconds: float = 0.0
    seeds: int = 0

    def __post_init__(self) -> None:
        self._since = monotonic()
        try:
            found = json.loads(self.file.read_text())
            if [row["condition"] for row in found["conditions"]] == self.names:
                self.seconds, self.seeds = float(found["seconds"]), int(found["seeds"])
        except (OSError, ValueError, LookupError, TypeError):
            pass  # a new race, or one whose record is lost: the runs are there all the same

    def look(self, seeds: int) -> None:
        """Note the time, after so many seeds."""
        now = monotonic()
        if seeds > self.seeds:
            self.seconds += now - self._since
            self.seeds = seeds
        self._since = now

    def is_over(self, budget: Budget, seeds: int) -> bool:
        """Whether no further seed may be started after so many."""
        if seeds < self.seeds:
            return seeds >= budget.seeds
        now = self.seconds + monotonic() - self._since
        late = budget.minutes is not None and now >= _SECONDS_A_MINUTE * budget.minutes
        return seeds >= budget.seeds or (late and seeds > 0)


def race(
    loader: ConfigLoader,
    config: DictConfig,
    launcher: Launcher,
    grid: Grid,
    budget: Budget,
    lines: Sequence[str],
) -> None:
    """Race the conditions that override lines combine, and tell who is best.

    Leaves the standing in the sweep's folder, as `race.json`. Raises ConfigError for a budget or
    lines that cannot be, SweepFailed, at the end, if jobs failed.
    """
    budget.check()
    own = [line for line in lines if not line.startswith("race.")]
    grid = replace(grid, score_seeds=budget.seeds)
    conditions, tuning, seeds = planned(loader, config, grid, own)
    _refuse_few_seeds([line for line in own if key_of(line) == "seed"], len(seeds), budget.alpha)
    if len(conditions) < 2:
        raise ConfigError(
            f"{conditions[0].name} alone is no race; give another, as activation=relu,gelu"
        )
    folder = Path(str(config.hydra.sweep.dir))
    names = ", ".join(each.name for each in conditions)
    log.info("race   %s\n%s", folder, wrapped(f"       {names}"))
    spent = _Spent(folder / RECORD, [each.name for each in conditions])
    batches = Batches(launcher, config)
    batches.heading = f"race   tuning {grid.key}, with the validation split"
    find_rates_in_rounds(batches, conditions, grid, tuning)
    if all(each.failed for each in conditions):
        batches.conclude()  # there is no race
    tell_rates(conditions, grid, len(tuning), folder)
    the_race = _entered(conditions, grid, budget)
    _run(the_race, batches, grid, seeds, spent)
    _conclude(the_race, grid, spent, folder, config)
    batches.conclude()


def _refuse_few_seeds(given: Sequence[str], count: int, alpha: float) -> None:
    """Raise ConfigError where so few seeds are given that nobody can leave.

    Evidence at the most doubles with a seed.
    """
    needed = ceil(math.log2(1 / alpha))
    if given and count < needed:
        raise ConfigError(
            f"{given[-1]}: is no race, which nobody can leave before seed {needed} "
            f"(race.alpha={alpha:g}). Leave it out: a race takes seeds 0, 1, 2 ... itself, "
            "race.seeds=N at the most; or give more, as 'seed=range(100,160)'"
        )


def _entered(conditions: list[Condition], grid: Grid, budget: Budget) -> Race:
    """Before the start; those of which tuning runs failed do not come to it."""
    failed = {index for index, each in enumerate(conditions) if each.failed}
    rates = [math.nan if c.failed else grid.lr(c.best()) for c in conditions]
    return Race(conditions, rates, budget, np.empty((0, len(conditions))), failed)


def _run(race: Race, batches: Batches, grid: Grid, seeds: Sequence[str], spent: _Spent) -> None:
    """Train seed after seed until one condition is left or the budget is spent."""
    workers = OmegaConf.select(batches.config, "hydra.launcher.workers")
    at_once = workers if type(workers) is int else cores()
    budget = replace(race.budget, seeds=len(seeds))
    while len(racing := race.racing()) > 1 and not spent.is_over(budget, len(race.scores)):
        done = len(race.scores)
        batches.heading = told_while_racing(race.scored(), budget.seeds, spent.seconds)
        batch = seeds[done : done + ceil(at_once / len(racing))]
        jobs = [(seed, race.conditions[index]) for seed in batch for index in racing]
        results = batches.launch(
            [each.job(WITH_TEST, grid.line(each.best()), seed) for seed, each in jobs]
        )
        before = race.standing
        for number in range(len(batch)):
            race.add(racing, results[number * len(racing) : (number + 1) * len(racing)])
        spent.look(len(race.scores))
        _keep(race, spent)
        if told := told_of_a_look(race.scored(), before):
            log.info("%s", told)
    batches.heading = None


def _keep(race: Race, spent: _Spent, **more: Any) -> None:
    """Write race.json."""
    found = {
        "alpha": race.budget.alpha,
        "seeds": spent.seeds,
        "seconds": spent.seconds,
        **more,
        "conditions": race.scored().rows(),
    }
    write_text(spent.file, json.dumps(found, indent=1) + "\n")


def _conclude(race: Race, grid: Grid, spent: _Spent, folder: Path, config: DictConfig) -> None:
    """Tell the answer."""
    scored = race.scored()
    _keep(
        race,
        spent,
        best=[scored.names[index] for index in scored.best()],
        verdict=scored.verdict(),
        guarantee=scored.guarantee(),
    )
    flags = config_flags(config)
    more = " ".join([*map(quote, flags), _more(race)])
    log.info("%s", told_at_the_end(scored, folder, more, _command(race, grid, flags)))
    runs, minutes = int((~np.isnan(race.scores)).sum()), spent.seconds / _SECONDS_A_MINUTE
    log.info("took   %.1f minutes, tuning included, and %d runs after it", minutes, runs)


def _more(race: Race) -> str:
    """Twice of what is spent."""
    budget = race.budget
    if budget.minutes is not None and len(race.scores) < budget.seeds:
        return f"race.minutes={2 * budget.minutes:g}"
    return f"race.seeds={2 * budget.seeds}"


def _command(race: Race, grid: Grid, flags: Sequence[str]) -> str:
    """What trains the one that leads, by itself, with its best rate; flags: where configs are."""
    leader = next(iter(race.scored().best()), None)
    if leader is None:
        return ""
    each = race.conditions[leader]
    lines = [_unquoted(line) for line in each.overrides if key_of(line) not in _OF_THE_SWEEP]
    return " ".join([training(), *map(quote, [*flags, *lines]), grid.line(each.best())])


def _unquoted(line: str) -> str:
    """As the user gave it: activae.cli puts a path in quotes for Hydra."""
    key, _, value = line.partition("=")
    is_path = key in ("data.path", "data.root") and len(value) > 1 and value[0] == value[-1] == '"'
    return f"{key}={value[1:-1]}" if is_path else line


def _test_score(result: Result) -> float:
    """SE on the test split; infinite for a run that diverged."""
    if result.status == "diverged":
        return math.inf
    score = (read_metrics(result.folder) or {})["test"]["SE"]
    return math.inf if score is None else float(score)
