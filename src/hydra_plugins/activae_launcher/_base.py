"""What activae's launchers have in common; Hydra looks for plugins in files without the _ alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from activae.sweeps.launch import Engine


class SweepLauncher(Launcher):
    """Trains the jobs of a sweep together, with an engine; see `activae.sweeps`."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives; the sweep trains by itself, without the task function."""
        self.context = hydra_context
        self.config = config

    @abstractmethod
    def engine(self) -> Engine:
        """What trains the jobs. Raises ConfigError for an option that cannot be."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Train the jobs, numbered from `initial_job_idx`."""
        from activae.sweeps.launch import launch  # here, because it imports torch

        return launch(self.context, self.config, job_overrides, initial_job_idx, self.engine())
