"""`hydra/sweeper=race`: all conditions seed by seed until the best is certain; see
`activae.compare.race`.
"""

from __future__ import annotations

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from ._base import BatchSweeper


class RaceSweeper(BatchSweeper):
    """Tunes the learning rate of each combination of the other values, then races them."""

    def run(
        self, loader: ConfigLoader, config: DictConfig, launcher: Launcher, lines: list[str]
    ) -> None:
        """Race what the lines combine."""
        from activae.compare.race.racing import Budget, race  # here, because it imports torch
        from activae.sweeps.tuning import Grid

        grid = {key: value for key, value in self.settings.items() if key != "race"}
        race(loader, config, launcher, Grid(**grid), Budget(**self.settings["race"]), lines)
