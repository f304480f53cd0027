"""What the process of a rank does."""

from __future__ import annotations

import logging
import signal
import warnings
from dataclasses import dataclass
from logging.handlers import QueueHandler
from pathlib import Path
from traceback import format_exc
from typing import Any

import torch
from omegaconf import DictConfig

from activae.config.devices import on_cuda
from activae.config.settling import from_values
from activae.data.module import AutoencoderDataModule
from activae.errors import END_REQUESTS, ConfigError, DataError, UserError
from activae.training.assembly import build_model
from activae.training.endings import Diverged, Interrupted
from activae.training.files import LAST
from activae.training.fitting import (
    Recorders,
    configured_callbacks,
    new_trainer,
    restore_callbacks,
    restore_checkpoint,
    run_callbacks,
)
from activae.training.module import AutoencoderModule
from activae.training.parallel.team import RankLost, Team
from activae.training.process import choose_threads, cores, process_state
from activae.training.processes import Line
from activae.training.shared import Shared


@dataclass(frozen=True)
class Assignment:
    """Which of how many ranks a process is, of what run, and the file by which they meet."""

    rank: int
    size: int
    settled: dict[str, Any]
    folder: Path
    recorders: Recorders
    meeting: Path
    log_level: int


@dataclass(frozen=True)
class Ended:
    """How a rank's fit ended: an error by its type, or None; at what step, if it diverged."""

    error: str | None = None
    text: str = ""
    step: int = 0


def run_rank(assignment: Assignment, line: Line) -> None:
    """Fit as one of several ranks; tell on `line` what the first one logs, and how it ended.

    The process is stopped by whatever it is sent on the line, and ends when that breaks.
    """
    for told_to_all in (signal.SIGINT, *END_REQUESTS):
        signal.signal(told_to_all, signal.SIG_IGN)  # the launcher acts on it
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    here = assignment
    cfg = from_values(here.settled)
    device = torch.device("cuda", here.rank) if on_cuda(cfg.trainer) else torch.device("cpu")
    team = Team(here.rank, here.size, device)
    line.listen(team.stop_asked.set)
    if here.rank:
        warnings.simplefilter("ignore")  # the first says the same
    line.tell(_ending(here, cfg, team, line))


def _ending(here: Assignment, cfg: DictConfig, team: Team, line: Line) -> Ended:
    try:
        with process_state(cfg.seed), team.gathered(here.meeting):
            _fit(here, cfg, team, line)
    except Diverged as diverged:
        return Ended("Diverged", step=diverged.step)
    except (Interrupted, RankLost) as end:
        return Ended(type(end).__name__)
    except (UserError, OSError) as error:
        kinds = (ConfigError, DataError, UserError, OSError)
        kind = next(kind for kind in kinds if isinstance(error, kind))
        return Ended(kind.__name__, str(error))
    except Exception as error:
        return Ended(Exception.__name__, f"{type(error).__name__}: {error}\n{format_exc()}")
    return Ended()


def _fit(here: Assignment, cfg: DictConfig, team: Team, line: Line) -> None:
    """Train to the end; the first rank records."""
    data = Shared().data(cfg)
    model = build_model(cfg, data)
    model.data, model.team = data, team
    snapshot = restore_checkpoint(cfg, model, here.folder)
    share = -(-data.batch_size // here.size)
    suitable = min(choose_threads(model.net, share), max(1, cores() // here.size))
    torch.set_num_threads(cfg.trainer.threads or suitable)
    if here.rank == 0:
        _log_to(line, here.log_level)
    _train(here, cfg, model, data, snapshot)
    team.assert_same_weights(model.net)


def _train(
    here: Assignment,
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    snapshot: dict[str, Any] | None,
) -> None:
    assert model.team is not None
    callbacks, loggers = configured_callbacks(cfg), []
    if here.rank == 0:
        make = here.recorders
        recording = [*make.progress(cfg), *make.callbacks(cfg, here.folder)]
        callbacks = run_callbacks(cfg, here.folder, recording)
        loggers = make.loggers(cfg, here.folder, model.step)
    restore_callbacks(callbacks, snapshot, here.folder / LAST)
    device = model.team.device
    accelerator = "gpu" if device.type == "cuda" else "cpu"
    trainer = new_trainer(
        cfg,
        model,
        data,
        callbacks,
        loggers,
        folder=here.folder,
        accelerator=accelerator,
        device=device.index,
    )
    trainer.fit(model, datamodule=data)


def _log_to(line: Line, level: int) -> None:
    """Let the launcher log what this process has to say."""
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers[:] = [_Told(line)]  # type: ignore[arg-type]


class _Told(QueueHandler):
    """Sends log records."""

    def enqueue(self, record: logging.LogRecord) -> None:
        self.queue.tell(record)  # type: ignore[attr-defined]
