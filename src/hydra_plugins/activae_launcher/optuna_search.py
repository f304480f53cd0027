"""`hydra/sweeper=optuna`: search by Optuna; see `activae.sweeps.searching`."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class OptunaSweeper(Sweeper):
    """Proposes trials and has the launcher train them, batch after batch."""

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
        """Search the space that the command line and `params` give."""
        from activae.sweeps.searching import Settings, search  # here, because it imports torch

        lines = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        assert self.launcher is not None
        assert self.hydra_context is not None
        assert self.config is not None
        settings = Settings(**self.settings)
        search(self.hydra_context.config_loader, self.config, self.launcher, settings, lines)
