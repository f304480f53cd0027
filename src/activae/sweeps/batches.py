"""Launching a sweep batch after batch, where what comes next depends on how the last ones ended.

A job that is a trial of a search may be stopped while it trains, when it does worse than others did
after as many epochs. It may train in another process or on another machine, so all that is known of
the trial lies in the study's storage, which each process opens for itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict

from activae.config.program import training
from activae.errors import ConfigError, SweepFailed, UserError
from activae.results.run_folder import FAILED, ended
from activae.sweeps.display import show_early
from activae.sweeps.folder import told_together
from activae.sweeps.job import Trials
from activae.training.module import AutoencoderModule

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage


BATCH = "batch"  # under hydra.sweeper, for `activae.sweeps.launch`


@dataclass(frozen=True)
class Result:
    """How a job of a batch ended: completed, pruned, diverged or failed."""

    status: str
    se_val: float
    folder: Path


class Batches:
    """Launches batches of one sweep with its launcher, and remembers which jobs failed.

    A diverged job counts as the worst result: its SE/val is infinite. That of a failed one is nan.
    heading: what is shown while a batch is trained, instead of a line for each run that ends, or
    beside those lines where the batch is a part of the `trials` of a search.
    """

    def __init__(self, launcher: Launcher, config: DictConfig) -> None:
        self.launcher = launcher
        self.config = config
        self.failures: dict[Path, str] = {}
        self.heading: str | None = None
        self.trials: Trials | None = None
        self._launched = 0

    def launch(
        self, overrides: Sequence[Sequence[str]], pruning: Sequence[dict[str, Any]] | None = None
    ) -> list[Result]:
        """See a batch to its end. `pruning`: for each job, what `Pruning` takes."""
        if self.heading is not None:
            show_early(self.heading)
        with open_dict(self.config):
            self.config.hydra.sweeper[BATCH] = {
                "pruning": pruning,
                "heading": self.heading,
                "trials": None if self.trials is None else asdict(self.trials),
            }
        returned = self.launcher.launch(overrides, initial_job_idx=self._launched)
        self._launched += len(overrides)
        return [self._result(each) for each in returned]

    def conclude(self) -> None:
        """Raise SweepFailed, which names all that failed, if any did."""
        if self.failures:
            lines = told_together((folder, why, why) for folder, why in self.failures.items())
            count = f"{len(self.failures)} of the sweep's jobs failed:\n"
            raise SweepFailed(count + "\n".join(lines))

    def _result(self, returned: JobReturn) -> Result:
        assert returned.working_dir is not None
        folder = Path(returned.working_dir)
        status = ended(folder) or "failed"
        try:
            return Result(status, float(returned.return_value), folder)
        except (UserError, CompactHydraException) as error:
            if status == "diverged":
                return Result(status, math.inf, folder)
            note = folder / FAILED
            self.failures[folder] = note.read_text().strip() if note.exists() else str(error)
            return Result("failed", math.nan, folder)


def refuse_budget_without_race(composed: DictConfig, hydra: Any) -> None:
    """Raise ConfigError where a config has the budget of a race and the sweep is none."""
    if composed.race and hydra.runtime.choices["hydra/sweeper"] != "race":
        given = " ".join(f"race.{key}={value}" for key, value in composed.race.items())
        raise ConfigError(
            f"{given}: is for a race, and experiment=race is missing: "
            f"{training()} -m experiment=race {given}"
        )


PRUNED_AT = "pruned at epoch"  # or after how many seeds, where a trial has several


@dataclass(frozen=True)
class Pruning:
    """Which trial a job is: of the study by that name in the storage; and the pruner's settings."""

    storage: str
    study: str
    trial: int
    pruner: dict[str, Any]


def batch_of(config: DictConfig) -> dict[str, Any] | None:
    """What `Batches` says of the batch that is launched; None where there is only one."""
    node = OmegaConf.select(config, f"hydra.sweeper.{BATCH}")
    if node is None:
        return None
    values: Any = OmegaConf.to_container(node)
    return dict(values)


def prunings(config: DictConfig, first: int) -> dict[int, Pruning]:
    """The trial of each job, by the job's number; `first` is that of the batch's first."""
    of_jobs: Sequence[Any] = (batch_of(config) or {}).get("pruning") or ()
    return {number: Pruning(**values) for number, values in enumerate(of_jobs, start=first)}


def trials_of(config: DictConfig) -> Trials | None:
    """The search that the batch is a part of."""
    found = (batch_of(config) or {}).get("trials")
    return None if found is None else Trials(**found)


@contextmanager
def judges(pruning: Pruning | None) -> Iterator[list[pl.Callback]]:
    """The callback that may prune a job, if it has one; its connection is closed in the end."""
    if pruning is None:
        yield []
        return
    import optuna

    from activae.sweeps.study import id_of, make_pruner, opened_storage

    with opened_storage(pruning.storage) as storage:
        pruner = make_pruner(pruning.pruner)
        study = optuna.load_study(study_name=pruning.study, storage=storage, pruner=pruner)
        yield [Judge(study, storage, id_of(storage, pruning.study, pruning.trial))]


class Judge(pl.Callback):
    """Reports SE/val after each epoch, and stops the training where the study's pruner says so.

    That it did is noted in the trial: a run that is killed before its folder says "pruned", and
    resumed, ends at the same epoch with the same status.
    """

    def __init__(self, study: Study, storage: RDBStorage, id_: int) -> None:
        self.study = study
        self.storage = storage
        self.id = id_
        found = storage.get_trial(self.id)
        self.reported = set(found.intermediate_values)
        self.pruned_at: int | None = found.user_attrs.get(PRUNED_AT)

    @property
    def pruned(self) -> bool:
        """Whether the run has been stopped."""
        return self.pruned_at is not None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the epoch; before the checkpoint, which notes whether the run is finished."""
        assert isinstance(pl_module, AutoencoderModule)
        epoch = int(pl_module.row["epoch"]) + 1
        if epoch not in self.reported and not self.pruned:
            self.storage.set_trial_intermediate_value(self.id, epoch, pl_module.row["SE/val"])
            self.reported.add(epoch)
            ended = pl_module.step >= pl_module.total_steps
            if not ended and self.study.pruner.prune(self.study, self.storage.get_trial(self.id)):
                self.storage.set_trial_user_attr(self.id, PRUNED_AT, epoch)
                self.pruned_at = epoch
        if self.pruned_at is not None and epoch >= self.pruned_at:
            trainer.should_stop = True
