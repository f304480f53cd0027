"""`hydra/launcher=stacked`: all jobs of a sweep at once, on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StackedLauncher(Launcher):
    """Trains alike runs together; see `activae.sweeps`."""

    def __init__(self, workers: int | None, compile: bool | None, stack: bool | None) -> None:
        self.workers = workers
        self.compile = compile
        self.stack = stack

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives; the sweep trains by itself, without the task function."""
        self.context = hydra_context
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Train the jobs, numbered from `initial_job_idx`."""
        from activae.sweeps.launch import launch  # here, because it imports torch
        from activae.sweeps.local import train_here

        engine = train_here(self.workers, self.compile, self.stack)
        return launch(self.context, self.config, job_overrides, initial_job_idx, engine)
