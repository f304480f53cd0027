"""The loggers that a config names beside TensorBoard's, made for a run."""

from __future__ import annotations

import csv
import inspect
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning.loggers import CSVLogger, Logger

from activae.config.instantiating import build, locate
from activae.config.settling import container
from activae.errors import ConfigError


class Csv(CSVLogger):
    """Lightning's CSVLogger, whose metrics.csv lies in the run's folder itself."""

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="", version="", flush_logs_every_n_steps=1)

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Write no hparams.yaml: config.yaml has all of it."""


_OURS = f"{__name__}.{Csv.__name__}"


def configured_loggers(cfg: DictConfig, folder: Path, step: int) -> list[Logger]:
    """Those of `logger.others`, in their order, for a run that starts at a step.

    One that takes a folder (`save_dir`) or a name and is given none gets the run's. Raises
    ConfigError for a node that makes something else.
    """
    loggers = []
    for name, node in container(cfg.logger.others).items():
        key = f"logger.others.{name}"
        kept = _metrics_before(node, folder)
        logger = build(_of_run(node, key, folder), key)
        if not isinstance(logger, Logger):
            raise ConfigError(
                f"{key}: makes a {type(logger).__name__}, not a pytorch_lightning.loggers.Logger; "
                "give +logger.others.NAME._target_=my_module.MyLogger"
            )
        if isinstance(logger, Csv):
            logger.experiment.metrics = [row for row in kept if float(row["step"]) <= step]
        loggers.append(logger)
    return loggers


def share_a_process(cfg: DictConfig) -> bool:
    """Whether loggers of several runs can be open at once: a service's client often has one."""
    return all(node["_target_"] == _OURS for node in container(cfg.logger.others).values())


def _of_run(node: dict[str, Any], key: str, folder: Path) -> dict[str, Any]:
    parameters = inspect.signature(locate(node["_target_"], key)).parameters
    # A name that has a default is that of a folder.
    unnamed = [n for n in ("name", "run_name") if n in parameters and parameters[n].default is None]
    given = dict.fromkeys(unnamed, folder.name)
    if "save_dir" in parameters:
        given["save_dir"] = str(folder)
    # A stranger's config shall not choose where we write.
    return node | given if node["_target_"] == _OURS else given | node


def _metrics_before(node: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The lines that a run which is resumed has written; Lightning's logger deletes them."""
    file = folder / "metrics.csv"
    if node["_target_"] != _OURS or not file.exists():
        return []
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))
