"""A search: proposals, their training by the launcher, the best of them, until there are enough."""

from __future__ import annotations

import logging
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from activae.config.settling import container
from activae.config.wording import shown, wrapped
from activae.errors import ConfigError, SweepFailed
from activae.results.run_folder import write_text
from activae.sweeps.batches import Batches, Result
from activae.sweeps.composing import compose_jobs
from activae.sweeps.folder import CLAIMS, FOUND
from activae.sweeps.job import Trials
from activae.sweeps.space import WITHOUT_TEST, Space, parse, space_of
from activae.training.process import cores

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from activae.sweeps.study import Search

log = logging.getLogger(__name__)

STUDY = "study.db"


@dataclass(frozen=True)
class Settings:
    """What configs/hydra/sweeper/optuna.yaml sets; see there."""

    n_trials: int
    seeds: int
    n_jobs: int | None
    study_name: str | None
    storage: str | None
    sampler: Mapping[str, Any]
    pruner: Mapping[str, Any]


def search(
    loader: ConfigLoader,
    config: DictConfig,
    launcher: Launcher,
    settings: Settings,
    lines: Sequence[str],
) -> None:
    """Train `settings.n_trials` trials of the space that override lines describe, or what is left.

    Leaves the study and the best trial in the sweep's folder. Raises ConfigError for settings and
    spaces that cannot work, SweepFailed, at the end, if jobs failed.
    """
    folder = Path(str(config.hydra.sweep.dir))
    overrides = parse([WITHOUT_TEST, *lines], loader)
    study = _study(settings, space_of(overrides), folder)
    space = _with_seeds(space_of(overrides), settings.seeds, config.seed)
    study = replace(study, space=space)
    # A mistake in a key or an option is met now, before there is a study.
    examples = list(compose_jobs(loader, config, space.examples(), 0))
    in_tensorboard = any(OmegaConf.select(each, "logger.tensorboard") for each in examples)
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "multirun.yaml")
    batches = Batches(launcher, config)
    workers = OmegaConf.select(config, "hydra.launcher.workers")
    at_once = settings.n_jobs or (workers if type(workers) is int else None) or cores()
    with _alone(folder):
        finished = study.prepare()
        log.info("search %s\n       %s", folder, _count(finished, settings.n_trials))
        failed = 0
        while trials := study.next(at_once, settings.n_trials - len(finished) - failed):
            ended = Counter(str(trial.user_attrs.get("status")) for trial in finished)
            batches.trials = Trials(
                {**ended, "failed": failed}, settings.n_trials, max(1, len(study.space.seeds))
            )
            _tell_best(batches, finished)
            results = _trained(batches, study, trials)
            finished = study.tell(trials, results)
            failed += sum(result.status == "failed" for result in results)
            _keep_best(finished, folder)
    _conclude(finished, failed, study, folder, in_tensorboard=in_tensorboard)
    batches.conclude()


def _study(settings: Settings, space: Space, folder: Path) -> Search:
    """The study, its settings checked."""
    try:
        from activae.sweeps.study import Search, make_pruner, make_sampler

        sampler, pruner = container(settings.sampler), container(settings.pruner)
        make_sampler(sampler, 0)
        make_pruner(pruner)
    except ImportError as error:
        raise ConfigError(
            "hydra/sweeper=optuna needs optuna: pip install 'activae[optuna]'"
        ) from error
    for key in ("n_trials", "seeds", "n_jobs"):
        value = getattr(settings, key)
        optional = key == "n_jobs" and value is None
        if not optional and (type(value) is not int or value < 1):
            raise ConfigError(f"hydra.sweeper.{key}={value}: must be a whole number of 1 or more")
    url = settings.storage or f"sqlite:///{(folder / STUDY).resolve()}"
    return Search(url, settings.study_name or folder.name, space, sampler, pruner)


def _with_seeds(space: Space, count: int, first: int) -> Space:
    """The space whose trials are runs with so many seeds, from the one of the command on."""
    if count == 1:
        return space
    given = [line for line in space.fixed if line.startswith("seed=")]
    if given:
        first = int(given[-1].partition("=")[2])
    seeds = tuple(f"seed={first + number}" for number in range(count))
    return replace(space, fixed=tuple(x for x in space.fixed if x not in given), seeds=seeds)


def _trained(batches: Batches, study: Search, trials: Sequence[FrozenTrial]) -> list[Result]:
    """How trials went. With several seeds that is the mean over them.

    A pruner then judges the mean so far after each seed, in place of a run after each epoch: a
    trial that it ends gets no further seeds.
    """
    chosen = [study.space.overrides(trial.params) for trial in trials]
    seeds = study.space.seeds
    if not seeds:
        return batches.launch(chosen, _pruning(study, trials))
    results: list[list[Result]] = [[] for _ in trials]
    going: Sequence[int] = range(len(trials))
    whole = batches.trials
    for together in [seeds] if study.pruner["name"] == "none" else [(seed,) for seed in seeds]:
        batches.trials = whole and replace(whole, begun=sum(map(len, results)))
        jobs = [[*chosen[index], seed] for index in going for seed in together]
        told = iter(batches.launch(jobs)) if jobs else iter(())
        for index in going:
            results[index] += [next(told) for _ in together]
        going = [index for index in going if _goes_on(study, trials[index], results[index])]
    return [_folded(each, len(seeds)) for each in results]


def _goes_on(study: Search, trial: FrozenTrial, results: Sequence[Result]) -> bool:
    mean = sum(result.se_val for result in results) / len(results)
    return math.isfinite(mean) and not study.prunes(trial, len(results), mean)


def _folded(results: Sequence[Result], seeds: int) -> Result:
    """The runs of a trial as one result; the folder is that of the first."""
    found = [result.status for result in results]
    status = next((bad for bad in ("failed", "diverged") if bad in found), "completed")
    if status == "completed" and len(results) < seeds:
        status = "pruned"
    return Result(status, sum(r.se_val for r in results) / len(results), results[0].folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process searches in this folder: each would propose for itself."""
    (folder / CLAIMS).mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / CLAIMS / "search.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        log.info("search %s: another process searches here; waiting for its end", folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _pruning(study: Search, trials: Sequence[FrozenTrial]) -> list[dict[str, Any]] | None:
    if study.pruner["name"] == "none":
        return None
    known = {"storage": study.storage, "study": study.name, "pruner": dict(study.pruner)}
    return [known | {"trial": trial.number} for trial in trials]


def _keep_best(finished: Sequence[FrozenTrial], folder: Path) -> None:
    """Write the best trial so far, under the names that Hydra's own Optuna plugin uses."""
    best = best_of(finished)
    if best is not None:
        found = {
            "name": "optuna",
            "best_params": dict(best.params),
            "best_value": best.value,
            "best_trial": best.number,
            "folder": best.user_attrs["folder"],
        }
        write_text(folder / FOUND, OmegaConf.to_yaml(OmegaConf.create(found)))


def _tell_best(batches: Batches, finished: Sequence[FrozenTrial]) -> None:
    """Name the best trial so far above the next batch's bar; a log has a line when it is a new."""
    best = best_of(finished)
    told = "best   none yet" if best is None else _told(best)
    if best is not None and told != batches.heading and not sys.stdout.isatty():
        log.info("%s", told)
    batches.heading = told


def _told(best: FrozenTrial, mean: str = "") -> str:
    params = " ".join(
        f"{key}={f'{value:.4g}' if isinstance(value, float) else shown(value)}"
        for key, value in best.params.items()
    )
    return wrapped(f"best   trial {best.number}: SE/val {best.value:.4g}{mean} with {params}")


def best_of(finished: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The trial with the lowest SE/val of those that were trained to their end."""
    whole = [t for t in finished if t.state.name == "COMPLETE" and math.isfinite(t.value or 0.0)]
    return min(whole, key=lambda trial: (trial.value, trial.number), default=None)


def _conclude(
    finished: Sequence[FrozenTrial],
    failed: int,
    study: Search,
    folder: Path,
    *,
    in_tensorboard: bool,
) -> None:
    best = best_of(finished)
    ended = [trial.user_attrs.get("status") for trial in finished]
    counts = [f"{ended.count(status)} {status}" for status in ("completed", "pruned", "diverged")]
    log.info("trials %s, %d failed", ", ".join(counts), failed)
    if best is not None:
        seeds = len(study.space.seeds)
        log.info("%s", _told(best, f", mean of {seeds} seeds," if seeds else ""))
        log.info("folder %s", best.user_attrs["folder"])
    log.info("look   optuna-dashboard %s", quote(study.storage))
    if in_tensorboard:
        log.info("       tensorboard --logdir %s", quote(str(folder)))
    if best is None and not failed:
        raise SweepFailed(f"{folder}: none of the {len(finished)} trials was trained to its end")


def _count(finished: Sequence[FrozenTrial], wanted: int) -> str:
    done = f", {len(finished)} done" if finished else ""
    return f"{wanted} trials, {max(0, wanted - len(finished))} to train{done}"
