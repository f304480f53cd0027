"""`hydra/sweeper=race`: all conditions seed by seed until the best is certain; see
`activae.compare.race`.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from ._base import BatchSweeper


class RaceSweeper(BatchSweeper):
    """Tunes the learning rate of each combination of the other values, then races them."""

    def run(
        self, loader: ConfigLoader, config: DictConfig, launcher: Launcher, lines: list[str]
    ) -> None:
        """Race what the lines combine, and leave the page."""
        from activae.compare.closing import leave_page
        from activae.compare.race.racing import Budget, race  # here, because it imports torch
        from activae.errors import SweepFailed
        from activae.sweeps.tuning import Grid

        grid = {key: value for key, value in self.settings.items() if key != "race"}
        failure = None
        try:
            race(loader, config, launcher, Grid(**grid), Budget(**self.settings["race"]), lines)
        except SweepFailed as error:
            failure = error  # of some runs; the others have an answer
        leave_page(Path(str(config.hydra.sweep.dir)))
        if failure:
            raise failure
