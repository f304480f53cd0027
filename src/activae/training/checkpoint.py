"""Best and last checkpoint: snapshots in memory every epoch, files now and then and at the end."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any

import pytorch_lightning as pl
import torch

from activae.config.identity import data_content
from activae.data.preparation import stored
from activae.training.epoch_sums import clone_tensors
from activae.training.files import BEST, FOLDER, LAST, write_whole
from activae.training.module import AutoencoderModule, Interrupted
from activae.training.restoring import load_checkpoint

__all__ = ["BEST", "FOLDER", "LAST", "RunCheckpoint", "load_checkpoint"]

SECONDS_BETWEEN_WRITES = 5.0


class RunCheckpoint(pl.Callback):
    """Keeps `best.ckpt` (lowest SE/val) and `last.ckpt`, loadable with weights_only=True.

    Beside the state they hold all that is needed to rebuild the network and the way to it from raw
    data: the config, the data's spec and, where the samples were made from other rows, the
    preparation that made them. `activae.training.restoring.load_network` reads them.

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
        self.of_data: dict[str, Any] = {}
        self._best_written = True
        self._written_at = monotonic()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know of the best checkpoint, whose weights are in its file."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score of the run that is resumed."""
        self.best_score = float(state_dict["best_score"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember where fitting starts: a run may diverge within its first epoch."""
        assert isinstance(pl_module, AutoencoderModule)
        data = pl_module.data
        self.of_data = {
            "spec": data.spec.to_dict(),
            "preparation": stored(data.source.preparation),
            "data_content": data_content(self.hyper_parameters),
        }
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
            **self.of_data,
            "pytorch-lightning_version": pl.__version__,
        }
        # torch.save says nothing of a full disk in its error, so the file is not written by it.
        serialised = BytesIO()
        torch.save(whole, serialised)
        write_whole(self.folder / name, serialised.getbuffer())

    def _snapshot(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        assert isinstance(pl_module, AutoencoderModule)
        states = {
            callback.state_key: clone_tensors(state)
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if (state := callback.state_dict())
        }
        return pl_module.snapshot() | {"callbacks": states}
