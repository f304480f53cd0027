"""What activae's launchers and sweepers share; Hydra finds plugins in files without the _ alone."""

from __future__ import annotations

import logging
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from activae.config.program import config_flags, training
from activae.errors import EXIT_INTERRUPTED, ConfigError

if TYPE_CHECKING:
    from activae.sweeps.launch import Engine


log = logging.getLogger(__name__)


class SweepLauncher(Launcher):
    """Trains the jobs of a sweep together, with an engine; see `activae.sweeps`."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra gives. Raises ConfigError for a task function that is not activae's.

        The workers train without calling it, so what another one does would silently be left out.
        """
        from activae.cli.command import run_job  # here, because Hydra imports all plugins

        if task_function is not run_job:
            name = f"{task_function.__module__}.{task_function.__qualname__}"
            launcher = config.hydra.runtime.choices["hydra/launcher"]
            raise ConfigError(
                f"hydra/launcher={launcher}: never calls the task function {name}, because its "
                "processes train the runs themselves; use activae.cli.command.run_job, as train.py "
                "does, and put code of your own into a Hydra callback "
                "(+hydra.callbacks.NAME._target_=MODULE.CLASS), or choose hydra/launcher=basic, "
                "which calls the function for one run after the other"
            )
        self.context = hydra_context
        self.config = config

    @abstractmethod
    def engine(self) -> Engine:
        """What trains the jobs. Raises ConfigError for an option that cannot be."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Train the jobs, numbered from `initial_job_idx`, and say what the sweep's runs tell."""
        from activae.compare.closing import tell_verdict
        from activae.sweeps.batches import batch_of
        from activae.sweeps.launch import launch  # here, because it imports torch

        ended = launch(self.context, self.config, job_overrides, initial_job_idx, self.engine())
        if batch_of(self.config) is None:  # else the sweeper tells of the whole
            tell_verdict(Path(str(self.config.hydra.sweep.dir)))
        return ended


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
        try:
            self.run(self.hydra_context.config_loader, self.config, self.launcher, lines)
        except KeyboardInterrupt:  # between two batches; within one the launcher says so
            folder = f"resume={self.config.hydra.sweep.dir}"
            how = join([*config_flags(self.config), folder])
            log.warning("interrupted; continue with: %s %s", training(), how)
            sys.exit(EXIT_INTERRUPTED)

    @abstractmethod
    def run(
        self, loader: ConfigLoader, config: DictConfig, launcher: Launcher, lines: list[str]
    ) -> None:
        """Launch what the override lines describe."""
