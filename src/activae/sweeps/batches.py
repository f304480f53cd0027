"""Launching a sweep batch after batch, where what comes next depends on how the last ones ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict

from activae.errors import SweepFailed, UserError
from activae.results.run_folder import DONE, FAILED

BATCH = "batch"  # under hydra.sweeper, for `activae.sweeps.launch`


@dataclass(frozen=True)
class Result:
    """How a job of a batch ended: completed, pruned, diverged or failed."""

    status: str
    se_val: float
    folder: Path


class Batches:
    """Launches batches of one sweep with its launcher, and remembers which jobs failed.

    A diverged job is a result, the worst: its SE/val is infinite. A failed one is none: nan.
    """

    def __init__(self, launcher: Launcher, config: DictConfig) -> None:
        self.launcher = launcher
        self.config = config
        self.failures: dict[Path, str] = {}
        self._launched = 0

    def launch(
        self, overrides: Sequence[Sequence[str]], pruning: Sequence[dict[str, Any]] | None = None
    ) -> list[Result]:
        """See a batch to its end. `pruning`: for each job, what `pruning.Pruning` takes."""
        with open_dict(self.config):
            self.config.hydra.sweeper[BATCH] = {"pruning": pruning}
        returned = self.launcher.launch(overrides, initial_job_idx=self._launched)
        self._launched += len(overrides)
        return [self._result(each) for each in returned]

    def conclude(self) -> None:
        """Raise SweepFailed, which names all that failed, if any did."""
        if self.failures:
            lines = [f"  {folder}: {reason}" for folder, reason in self.failures.items()]
            count = f"{len(lines)} of the sweep's jobs failed:\n"
            raise SweepFailed(count + "\n".join(lines))

    def _result(self, returned: JobReturn) -> Result:
        assert returned.working_dir is not None
        folder = Path(returned.working_dir)
        done = folder / DONE
        status = done.read_text().strip() if done.exists() else "failed"
        try:
            return Result(status, float(returned.return_value), folder)
        except (UserError, CompactHydraException) as error:
            if status == "diverged":
                return Result(status, math.inf, folder)
            note = folder / FAILED
            self.failures[folder] = note.read_text().strip() if note.exists() else str(error)
            return Result("failed", math.nan, folder)
