"""`hydra/sweeper=lr_grid`: the learning rate on a grid; see `activae.sweeps.tuning`."""

from __future__ import annotations

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from ._base import BatchSweeper


class LrGridSweeper(BatchSweeper):
    """Tunes the learning rate of each combination of the other values."""

    def run(
        self, loader: ConfigLoader, config: DictConfig, launcher: Launcher, lines: list[str]
    ) -> None:
        """Tune what the lines combine."""
        from activae.sweeps.tuning import Grid, tune  # here, because it imports torch

        tune(loader, config, launcher, Grid(**self.settings), lines)
