"""`hydra/sweeper=lr_grid`: the learning rate on a grid; see `activae.sweeps.tuning`."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from ._base import BatchSweeper


class LrGridSweeper(BatchSweeper):
    """Tunes the learning rate of each combination of the other values, and may score the best."""

    def run(
        self, loader: ConfigLoader, config: DictConfig, launcher: Launcher, lines: list[str]
    ) -> None:
        """Tune what the lines combine; where it is scored, end with the answer."""
        from activae.compare.closing import tell_verdict
        from activae.errors import SweepFailed
        from activae.sweeps.tuning import Grid, tune  # here, because it imports torch

        grid = Grid(**self.settings)
        failure = None
        try:
            tune(loader, config, launcher, grid, lines)
        except SweepFailed as error:
            failure = error  # of some runs; the others have an answer
        if grid.score_seeds:
            tell_verdict(Path(str(config.hydra.sweep.dir)))
        if failure:
            raise failure
