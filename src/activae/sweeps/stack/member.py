"""One run within a stack: the model, and the callbacks that record it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger

from activae.data.module import AutoencoderDataModule
from activae.data.normalisation import Samples
from activae.results.recording import Recorders
from activae.training.checkpoint import LAST, RunCheckpoint
from activae.training.fitting import restore_callbacks, restore_checkpoint, run_callbacks
from activae.training.module import AutoencoderModule, Row

# The hooks of a callback that a stack calls: what happens to all members at once is not among them.
HOOKS = (
    "on_fit_start",
    "on_train_start",
    "on_train_epoch_end",
    "on_train_end",
    "on_fit_end",
    "on_exception",
)


def hooks_missed(callback: pl.Callback) -> list[str]:
    """The hooks that a callback has and that a stack would not call."""
    defined = [name for name in dir(pl.Callback) if name.startswith("on_")]
    own = [n for n in (*defined, "setup", "teardown") if n not in HOOKS]
    return [n for n in own if getattr(type(callback), n) is not getattr(pl.Callback, n)]


class Member:
    """Stands between the stack, which trains, and the model and callbacks of an ordinary run.

    `place` is the run's among all; `error` is what ended it before its time. To the callbacks it is
    what Lightning's trainer is to those of a plain run; `watchers` may end it early.
    """

    def __init__(
        self,
        place: int,
        cfg: DictConfig,
        folder: Path,
        model: AutoencoderModule,
        data: AutoencoderDataModule,
        watchers: Sequence[pl.Callback] = (),
    ) -> None:
        self.place = place
        self.cfg = cfg
        self.folder = folder
        self.model = model
        self.data = model.data = data
        self.error: Exception | None = None
        self.finished = False
        self.started = False
        self.seconds_alone = 0.0  # spent on this run alone, outside the stack
        self.should_stop = False
        self.loggers: list[Logger] = []
        self.watchers = watchers
        self.callbacks: list[pl.Callback] = []

    @property
    def logger(self) -> Logger | None:
        """The first of the loggers, as Lightning's trainer has it."""
        return self.loggers[0] if self.loggers else None

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to train."""
        return self.finished or self.error is not None

    def restore(self) -> None:
        """Continue from the folder's last checkpoint, if there is one. Raises DataError."""
        snapshot = restore_checkpoint(self.cfg, self.model, self.folder)
        self.finished = bool(snapshot and snapshot.get("finished"))
        if not self.finished:
            make = Recorders(in_a_sweep=True)
            recording = [*self.watchers, *make.callbacks(self.cfg, self.folder)]
            self.callbacks = run_callbacks(self.cfg, self.folder, recording)
            restore_callbacks(self.callbacks, snapshot, self.folder / LAST)
            self.loggers = make.loggers(self.cfg, self.folder, self.model.step)

    def start(self, device: torch.device, placed: dict[int, tuple[Samples, Samples]]) -> None:
        """Put all on the device, samples that members share once, and get ready to train."""
        if self.started:
            return
        model = self.model
        dtype = torch.float64 if self.cfg.trainer.precision == "64-true" else torch.float32
        self.data.place(
            lambda samples: placed.setdefault(id(samples), (samples, samples.to(device, dtype)))[1]
        )
        model.to(device, dtype)
        model.get_ready(self.data, model.current_optimizer())
        model.sync_optimizer = lambda: None  # it is as it was restored until a stack takes it
        model.start_epoch()
        self.call("on_fit_start")
        self.call("on_train_start")
        self.started = True

    def rewind(self) -> None:
        """Go back to the end of the last epoch, or to where training started, off the device."""
        self.error = None
        if not self.started:
            return
        checkpoint = next(c for c in self.callbacks if isinstance(c, RunCheckpoint))
        snapshot = checkpoint.last
        assert snapshot is not None, "taken when training starts"
        self.model.cpu()
        self._leave_stack()
        self.model.restore(snapshot)
        restore_callbacks(self.callbacks, snapshot)
        self.finished = snapshot.get("finished", False)
        self.should_stop = False
        self.started = False

    def end_epoch(self, terms: Row, scores: dict[str, Row]) -> None:
        """Record the epoch. Raises Diverged where SE/val is not finite."""
        model = self.model
        model.note_epoch()
        model.finish_epoch(terms, scores["train"], scores["val"])
        self.call("on_train_epoch_end")
        self.finished = self.should_stop or model.step >= model.total_steps
        model.start_epoch()

    def end(self, error: BaseException | None = None) -> None:
        """Write the checkpoints and whatever else is open; `error` is what training ended with."""
        if error is None:
            self.call("on_train_end")
            self.call("on_fit_end")
        else:
            self.call("on_exception", error)
        for logger in self.loggers:
            logger.finalize("failed" if error else "success")
        self.callbacks = []  # with the snapshots that they hold
        self._leave_stack()

    def _leave_stack(self) -> None:
        """Hold on to nothing of it, so that its memory can be freed."""
        for module in self.model.modules():
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.clone()
            for name, buffer in module.named_buffers(recurse=False):
                module._buffers[name] = buffer.clone()
        self.model.sync_optimizer = lambda: None
        if self.started:
            del self.model.optimizer

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of every callback, one of HOOKS."""
        trainer = cast(pl.Trainer, self)
        for callback in self.callbacks:
            getattr(callback, hook)(trainer, self.model, *arguments)
