"""What activae's launchers and sweepers share; Hydra finds plugins in files without the _ alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
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


class BatchSweeper(Sweeper):
    """Launches batch after batch, as the last ones ended; `settings` are its yaml's, but params."""

    def __init__(self, params: dict[str, Any] | None, **settings: Any) -> None:
        self.params = params or {}
        self.settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives, and make the launcher."""
        from hydra.core.plugins import Plugins  # it imports this module

        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """See the sweep that the command line and `params` describe to its end."""
        assert self.launcher is not None
        assert self.hydra_context is not None
        assert self.config is not None
        lines = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        self.run(self.hydra_context.config_loader, self.config, self.launcher, lines)

    @abstractmethod
    def run(
        self, loader: ConfigLoader, config: DictConfig, launcher: Launcher, lines: list[str]
    ) -> None:
        """Launch what the override lines describe."""
