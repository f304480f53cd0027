"""Sweeps on a Ray cluster, or on one that Ray makes of this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from activae.errors import ConfigError
from activae.sweeps.folder import SweepFolder, outcome_of
from activae.sweeps.job import Job, Outcome, Report
from activae.sweeps.launch import Engine
from activae.sweeps.local import choice, library, whole
from activae.sweeps.remote.workers import follow, shares
from activae.sweeps.work import Surroundings

SECONDS_TO_STOP = 10


def train_with_ray(
    init: Any,
    tasks: int | None,
    num_cpus: int,
    num_gpus: float | None,
    compiling: bool | None,
) -> Engine:
    """An engine with `tasks` Ray tasks of `num_cpus` processes each; None: all that fit.

    init: keyword arguments of ray.init.
    """
    ray = library("ray", "ray", "activae[ray]")
    whole("tasks", tasks, optional=True)
    whole("num_cpus", num_cpus)
    choice("compile", compiling)
    if not isinstance(init, Mapping):
        raise ConfigError(f"hydra.launcher.init={init}: must be keyword arguments of ray.init")
    if num_gpus is not None and not (isinstance(num_gpus, (int, float)) and num_gpus >= 0):
        raise ConfigError(f"hydra.launcher.num_gpus={num_gpus}: must be a number or null")

    def engine(
        jobs: Sequence[Job], sweep: SweepFolder, surroundings: Surroundings, report: Report
    ) -> None:
        if all(outcome_of(job) is not None for job in jobs):
            follow(jobs, [], lambda: None, report)
            return
        try:
            ray.init(**init)
        except (ValueError, TypeError, RuntimeError, ConnectionError) as error:
            raise ConfigError(f"hydra.launcher.init={dict(init)}: {error}") from error
        try:
            count = tasks or _room(ray, num_cpus)
            # Spawned, because a fork would keep the worker's connections to Ray open.
            how = (num_cpus, compiling, "spawn")
            parts = shares(jobs, sweep, surroundings, count, *how)
            call = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0)(_train)
            references = [call.remote(part) for part in parts]

            def cancel() -> None:
                for reference in references:
                    ray.cancel(reference)
                ray.wait(references, num_returns=len(references), timeout=SECONDS_TO_STOP)

            follow(jobs, [_Task(ray, reference) for reference in references], cancel, report)
        finally:
            ray.shutdown()

    return engine


def _room(ray: Any, num_cpus: int) -> int:
    """How many tasks the cluster's cores allow at once; one at least, which waits for them."""
    return max(1, int(ray.cluster_resources().get("CPU", 0)) // num_cpus)


@dataclass(frozen=True)
class _Task:
    """A Ray task as `follow` wants it; Ray's own futures don't survive its shutdown."""

    ray: Any
    reference: Any

    def done(self) -> bool:
        return bool(self.ray.wait([self.reference], timeout=0)[0])

    def result(self) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = self.ray.get(self.reference)
        return outcomes


def _train(part: Any) -> Any:
    return part()
