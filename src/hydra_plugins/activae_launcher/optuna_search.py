"""`hydra/sweeper=optuna`: search by Optuna; see `activae.sweeps.searching`."""

from __future__ import annotations

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from ._base import BatchSweeper


class OptunaSweeper(BatchSweeper):
    """Proposes trials and has the launcher train them, batch after batch."""

    def run(
        self, loader: ConfigLoader, config: DictConfig, launcher: Launcher, lines: list[str]
    ) -> None:
        """Search the space that the lines give."""
        from activae.sweeps.searching import Settings, search  # here, because it imports torch

        search(loader, config, launcher, Settings(**self.settings), lines)
