"""Starting the ranks of a run, and seeing them to their end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, NoReturn

from omegaconf import DictConfig
from torch import nn

from activae.config.devices import device_count, on_cuda
from activae.config.program import training
from activae.config.settling import container
from activae.errors import ConfigError, DataError, UserError
from activae.objectives import of_batch
from activae.training.checkpoint import LAST
from activae.training.endings import Diverged, Interrupted
from activae.training.fitting import Recorders
from activae.training.module import AutoencoderModule
from activae.training.parallel.rank import Assignment, Ended, run_rank
from activae.training.parallel.team import RankLost
from activae.training.process import stopping_on_interrupt
from activae.training.processes import Child, Crew, meaning_of_exit

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_END = 30.0  # for the other ranks to write their checkpoint after one has failed
SECONDS_TO_WRITE = 5.0  # for the first, when the user wants all to end at once

_ERRORS = {error.__name__: error for error in (ConfigError, DataError, UserError, OSError)}


class RankDied(UserError):
    """A process of the run was ended from outside; the message says which, and how to resume."""


class RankFailed(RuntimeError):
    """An error in a rank that is a bug, not the user's mistake."""


def fit_in_ranks(
    cfg: DictConfig, model: AutoencoderModule, folder: Path, recorders: Recorders
) -> None:
    """Train with a process for each device, up to the end; what they leave is in the folder.

    Each loads the data for itself. Raises what a fit on one device raises, RankDied, and
    ConfigError for a model whose result on several devices would be another.
    """
    refuse_unsuited(model)
    size = device_count(cfg.trainer)
    kind = "GPUs" if on_cuda(cfg.trainer) else "processes on the CPU"
    log.info("ranks  %d %s share each batch of %d", size, kind, cfg.data.batch_size)
    with TemporaryDirectory(prefix="activae-") as place:
        fleet = Fleet(
            [
                Assignment(
                    rank,
                    size,
                    container(cfg),
                    folder,
                    recorders,
                    Path(place) / "meeting",
                    log_level=log.getEffectiveLevel(),
                )
                for rank in range(size)
            ],
            # Not forked from here, where torch may have threads or a GPU that a fork would break:
            # from a process that has done nothing but the imports, or from a new interpreter.
            "forkserver" if sys.platform == "linux" and not on_cuda(cfg.trainer) else "spawn",
        )
        with stopping_on_interrupt(fleet):
            fleet.run()
    fleet.conclude()


def refuse_unsuited(model: AutoencoderModule) -> None:
    """Raise ConfigError where a loss is not the mean of what the devices' shares give."""
    way = "several devices (trainer.devices, trainer.strategy)"
    for name, module in model.net.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ConfigError(
                f"normalisation=batch (in {name}): takes its statistics from the whole batch, of "
                f"which each of {way} has a share; train on one, or with normalisation=layer"
            )
    if model.player is not None or (model.net.latent is not None and model.net.latent.updated):
        what = "a player" if model.player is not None else "buffers that its latent updates"
        raise ConfigError(
            f"{way}: the run has {what}, which the devices do not share; train on one"
        )
    losses = [model.whole_objective, *(phase.objective for phase in model.phases)]
    for loss in losses:
        for name in of_batch(loss):
            raise ConfigError(
                f"regulariser={name}: is a figure of the whole batch, of which each of {way} "
                "has a share; train on one, or with another regulariser"
            )


class Fleet:
    """The processes of a run's ranks, and what they tell."""

    def __init__(self, assignments: Sequence[Assignment], start_method: str) -> None:
        self.stop_requested = False
        self._assignments = assignments
        self._crew = Crew(start_method, [run_rank.__module__])
        self._endings: dict[int, Ended] = {}
        self._died: list[Child] = []
        self._told_to_stop = False

    def run(self) -> None:
        """Start the ranks, and listen until all have ended; when one fails, the others soon do."""
        deadline = float("inf")
        with self._crew as crew:
            try:
                for assignment in self._assignments:
                    crew.start(run_rank, assignment)
                while crew.working and monotonic() < deadline:
                    if self.stop_requested and not self._told_to_stop:
                        # The first tells the others, so that all end after the same step.
                        crew.children[0].ask_to_stop()
                        self._told_to_stop = True
                    for child, told in crew.hear(SECONDS_BETWEEN_LOOKS):
                        self._hear(child, told)
                    if self._has_failed() and deadline == float("inf"):
                        deadline = monotonic() + SECONDS_TO_END
            except KeyboardInterrupt:
                for child in crew.children[1:]:
                    child.process.kill()  # the first notices, and writes its last whole epoch
                for child in crew.children[:1]:
                    child.process.join(SECONDS_TO_WRITE)
                raise

    def conclude(self) -> None:
        """Raise what ended the run before its end, if anything did."""
        errors = [ending for ending in self._endings.values() if ending.error]
        for ending in errors:
            if ending.error != RankLost.__name__:
                _raise(ending)
        if self._died and self.stop_requested:
            raise Interrupted
        if self._died:
            raise RankDied(self._death(self._died[0]))
        if errors:
            raise RankFailed("the processes of this run lost each other")

    def _hear(self, child: Child, told: Any) -> None:
        if isinstance(told, logging.LogRecord):
            logging.getLogger(told.name).handle(told)
        elif told is not None:
            self._endings[child.number] = told
        elif child.number not in self._endings:
            self._died.append(child)

    def _has_failed(self) -> bool:
        """Whether a rank has ended in a way that the others need not notice."""
        fine = (None, Interrupted.__name__, Diverged.__name__)
        return bool(self._died) or any(e.error not in fine for e in self._endings.values())

    def _death(self, child: Child) -> str:
        size, folder = len(self._assignments), self._assignments[0].folder
        found = (
            f"the last checkpoint is kept; continue with: {training()} {quote(f'resume={folder}')}"
            if (folder / LAST).exists()
            else "no checkpoint had been written; start the run again"
        )
        return (
            f"process {child.number + 1} of {size} of this run (trainer.devices={size}) ended with "
            f"{meaning_of_exit(child.exit_code)}; the others were ended too, and {found}"
        )


def _raise(ending: Ended) -> NoReturn:
    """What a rank has raised."""
    if ending.error == Diverged.__name__:
        raise Diverged(ending.step)
    if ending.error == Interrupted.__name__:
        raise Interrupted
    if ending.error in _ERRORS:
        raise _ERRORS[ending.error](ending.text)
    raise RankFailed(ending.text)
