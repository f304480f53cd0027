"""Stopping a trial of a search while it trains, when it does worse than others at its age.

The trial may train in another process or on another machine, and may be resumed: all that is known
of it is in the study's storage, which is opened anew here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from activae.sweeps.batches import BATCH
from activae.training.module import AutoencoderModule

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage

PRUNED_AT = "pruned at epoch"


@dataclass(frozen=True)
class Pruning:
    """Which trial a job is: of the study by that name in the storage; and the pruner's settings."""

    storage: str
    study: str
    trial: int
    pruner: dict[str, Any]


def batch_of(config: DictConfig) -> dict[str, Any] | None:
    """What `batches.Batches` says of the batch that is launched; None where there is only one."""
    node = OmegaConf.select(config, f"hydra.sweeper.{BATCH}")
    if node is None:
        return None
    values: Any = OmegaConf.to_container(node)
    return dict(values)


def prunings(config: DictConfig, first: int) -> dict[int, Pruning]:
    """The trial of each job, by the job's number; `first` is that of the batch's first."""
    of_jobs: Sequence[Any] = (batch_of(config) or {}).get("pruning") or ()
    return {number: Pruning(**values) for number, values in enumerate(of_jobs, start=first)}


@contextmanager
def judges(pruning: Pruning | None) -> Iterator[list[pl.Callback]]:
    """The callback that prunes a job, if it is to be; its connection is closed in the end."""
    if pruning is None:
        yield []
        return
    import optuna

    from activae.sweeps.sampling import make_pruner
    from activae.sweeps.study import id_of, opened_storage

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
