"""`hydra/launcher=joblib`: the processes of joblib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._base import SweepLauncher

if TYPE_CHECKING:
    from activae.sweeps.launch import Engine


class JoblibLauncher(SweepLauncher):
    """Trains a share of the sweep in each of joblib's processes."""

    def __init__(self, n_jobs: int, compile: bool | None) -> None:
        self.n_jobs = n_jobs
        self.compile = compile

    def engine(self) -> Engine:
        """As many processes as `n_jobs` means to joblib."""
        from activae.sweeps.remote.joblib import train_with_joblib

        return train_with_joblib(self.n_jobs, self.compile)
