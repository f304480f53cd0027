"""A run that trains for longer than it was first to: its folder is opened again."""

from __future__ import annotations

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from activae.config.instantiating import build, call, label
from activae.config.settling import CONFIG, container, read
from activae.config.wording import wrapped
from activae.errors import ConfigError
from activae.results.claims import claim
from activae.results.run_folder import DONE, ended, write_text
from activae.training.assembly import steps_in_all
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.schedules import Adaptive, make_schedule

log = logging.getLogger(__name__)

INDEX = "sweep.json"  # in the folder of a sweep


def extend(cfg: DictConfig, folder: Path) -> None:
    """Let the run in a folder train on as the settled config says, which differs in length alone.

    Nothing that it computed is lost: it goes on from its last checkpoint, and is scored anew.
    Raises ConfigError where it cannot be that run for longer.
    """
    with claim(folder):
        _refuse(cfg, folder)
        _tell_of_schedule(cfg, folder)
        # In this order: a process that stops between the two leaves a run that can go on.
        (folder / DONE).unlink(missing_ok=True)
        write_text(folder / CONFIG, OmegaConf.to_yaml(cfg))


def _refuse(cfg: DictConfig, folder: Path) -> None:
    status, length = ended(folder), f"trainer.max_epochs={cfg.trainer.max_epochs}"
    if (folder.resolve().parent / INDEX).is_file():
        raise ConfigError(
            f"resume={folder}: is a run of a sweep, all of which are of one length; launch the "
            f"sweep with {length}, or a run of its own with init_from={folder}"
        )
    if status not in (None, "completed"):
        raise ConfigError(
            f"resume={folder}: this run has ended ({status}), and training on would not help it; "
            "start a new run"
        )
    before, after = _steps(read(folder / CONFIG), folder), _steps(cfg, folder)
    if after <= before:
        raise ConfigError(
            f"{length} trainer.max_steps={cfg.trainer.max_steps or 'null'}: are {after} steps, "
            f"and the run in {folder} was to take {before}; give more"
        )
    if cfg.phases is not None and not cfg.phases["_target_"].endswith(".joint"):
        raise ConfigError(
            f"resume={folder}: its phases ({label(cfg.phases)}) divide its length, so that it "
            "cannot be made longer; start a new run"
        )


def _steps(cfg: DictConfig, folder: Path) -> int:
    """How many optimizer steps the run takes in all."""
    return steps_in_all(cfg, int(load_checkpoint(folder / LAST)["spec"]["samples"]["train"]))


def _tell_of_schedule(cfg: DictConfig, folder: Path) -> None:
    """Say what a schedule that depends on the run's length does where it goes on."""
    schedule = call(make_schedule, "scheduler", build(container(cfg.scheduler), "scheduler"))
    if isinstance(schedule, Adaptive):
        return
    step = int(load_checkpoint(folder / LAST)["global_step"])
    before, after = _steps(read(folder / CONFIG), folder), _steps(cfg, folder)
    old, new = (schedule(min(step, total - 1), total) for total in (before, after))
    if old != new:
        log.warning(
            "%s",
            wrapped(
                f"note   scheduler={label(cfg.scheduler)} depends on the run's length: from step "
                f"{step} on the rate is that of a run of {after} steps, {new:.3g} times "
                f"optimizer.lr, where that of {before} had come to {old:.3g}. The run is not the "
                "one that a single launch of that length would be"
            ),
        )
