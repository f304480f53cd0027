"""`hydra/sweeper=optuna`: search by Optuna; see `activae.sweeps.searching`."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from ._base import BatchSweeper


class OptunaSweeper(BatchSweeper):
    """Proposes trials and has the launcher train them, batch after batch."""

    def run(
        self, loader: ConfigLoader, config: DictConfig, launcher: Launcher, lines: list[str]
    ) -> None:
        """Search the space that the lines give; say what it is no answer to."""
        from activae.compare.closing import tell_of_search
        from activae.errors import SweepFailed
        from activae.sweeps.searching import Settings, search  # here, because it imports torch

        failure = None
        try:
            search(loader, config, launcher, Settings(**self.settings), lines)
        except SweepFailed as error:
            failure = error  # of some trials; the others are told of
        tell_of_search(Path(str(config.hydra.sweep.dir)))
        if failure:
            raise failure
