"""`hydra/sweeper=lr_grid`: the learning rate on a grid; see `activae.sweeps.tuning`."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class LrGridSweeper(Sweeper):
    """Tunes the learning rate of each combination of the other values."""

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
        """Tune what the command line and `params` combine."""
        from activae.sweeps.tuning import Grid, tune  # here, because it imports torch

        assert self.launcher is not None
        assert self.hydra_context is not None
        assert self.config is not None
        lines = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        grid = Grid(**self.settings)
        tune(self.hydra_context.config_loader, self.config, self.launcher, grid, lines)
