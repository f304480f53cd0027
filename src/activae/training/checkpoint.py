"""Best and last checkpoint: snapshots in memory every epoch, files now and then and at the end."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any

import pytorch_lightning as pl
import torch

from activae.data.preparation import stored
from activae.errors import DataError
from activae.training.epoch_sums import clone_tensors
from activae.training.module import AutoencoderModule, Interrupted

FOLDER = "checkpoints"
BEST = f"{FOLDER}/best.ckpt"
LAST = f"{FOLDER}/last.ckpt"
SECONDS_BETWEEN_WRITES = 5.0


class RunCheckpoint(pl.Callback):
    """Keeps `best.ckpt` (lowest SE/val) and `last.ckpt`, loadable with weights_only=True.

    Beside the state they hold the config and, where the samples were made from other rows, the
    preparation that made them (`activae.data.preparation.restored` makes one of it again).

    Every epoch's state is copied in memory, which costs little; the files follow at most every
    few seconds, when fitting ends and when it breaks off. So an epoch of milliseconds is not spent
    on writing, and a killed run loses seconds. After an interruption the state is the very step
    reached; after a divergence it is that of the last epoch that ended with finite figures.

    A process may be killed at any point. The best file is never older than the last one says: the
    steps between the two are repeated when the run is resumed, and write the same file again.
    """

    def __init__(self, folder: Path, hyper_parameters: dict[str, Any]) -> None:
        self.folder = folder
        self.hyper_parameters = hyper_parameters
        self.best_score = float("inf")
        self.best: dict[str, Any] | None = None
        self.last: dict[str, Any] | None = None
        self.preparation: dict[str, Any] | None = None
        self._best_written = True
        self._written_at = monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know of the best checkpoint, whose weights are in its file."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score of the run that is resumed."""
        self.best_score = state_dict["best_score"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember where fitting starts: a run may diverge within its first epoch."""
        assert isinstance(pl_module, AutoencoderModule)
        self.preparation = stored(pl_module.data.source.preparation)
        self.last = self._snapshot(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the state; write it if the last writing lies some seconds back."""
        assert isinstance(pl_module, AutoencoderModule)
        score = pl_module.row["SE/val"]
        improved = score < self.best_score
        if improved:
            self.best_score = score
        finished = trainer.should_stop or pl_module.step >= pl_module.total_steps
        self.last = self._snapshot(trainer, pl_module) | {"finished": finished}
        if improved:
            kept = ("state_dict", "epoch", "global_step")
            self.best = {key: self.last[key] for key in kept} | {"SE/val": score}
            self._best_written = False
        if monotonic() - self._written_at > SECONDS_BETWEEN_WRITES:
            self.write()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write both files."""
        self.write()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Write what there is: the step reached if interrupted, otherwise the last whole epoch."""
        if isinstance(exception, Interrupted):
            self.last = self._snapshot(trainer, pl_module)
        self.write()

    def write(self) -> None:
        """Write the newest snapshots, each file whole or not at all, the best first."""
        self.folder.mkdir(exist_ok=True)
        if self.best is not None and not self._best_written:
            self._save(self.best, "best.ckpt")
            self._best_written = True
        if self.last is not None:
            self._save(self.last, "last.ckpt")
        self._written_at = monotonic()

    def _save(self, snapshot: dict[str, Any], name: str) -> None:
        whole = {
            **snapshot,
            "hyper_parameters": self.hyper_parameters,
            "preparation": self.preparation,
            "pytorch-lightning_version": pl.__version__,
        }
        # torch.save says nothing of a full disk in its error, so the file is written here.
        serialised = BytesIO()
        torch.save(whole, serialised)
        partial = self.folder / f"{name}.partial"
        try:
            partial.write_bytes(serialised.getbuffer())
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(self.folder / name)) from error
        os.replace(partial, self.folder / name)

    def _snapshot(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        assert isinstance(pl_module, AutoencoderModule)
        states = {
            callback.state_key: clone_tensors(callback.state_dict())
            for callback in trainer.callbacks  # type: ignore[attr-defined]
        }
        return pl_module.snapshot() | {"callbacks": states}


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's tensors and primitives, on the CPU; never runs code from the file.

    Raises DataError where the file is damaged or holds anything else.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["state_dict"]
    except Exception as error:  # whatever unpickling damaged bytes comes upon
        reason = f"{type(error).__name__}: {str(error).partition('. ')[0]}"
        raise DataError(
            f"{path}: cannot be read as a checkpoint ({reason}); without the folder {path.parent} "
            "the run can be trained from its start"
        ) from error
    return checkpoint
