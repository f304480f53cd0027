"""What happens between Hydra and a training: errors as sentences, exit codes, the closing table."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from activae.errors import ConfigError, UserError
from activae.run_folder import CONFIG, DONE

log = logging.getLogger(__name__)

EXIT_INTERRUPTED = 130


class JobFailed(CompactHydraException):
    """Tells Hydra's sweep that a job failed, whose reason has been shown already."""


def run_job(composed: DictConfig) -> float:
    """Train what Hydra composed, or continue the run it names; return the best SE/val.

    A user's mistake ends in one message and exit code 1, an interruption in exit code 130.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    from activae.models.autoencoder import Interrupted  # imports torch: not for --help

    try:
        return _train(composed, folder)
    except UserError as error:
        log.error("error: %s", error)
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            raise JobFailed(f"{folder} failed: {error}") from None
        sys.exit(1)
    except (Interrupted, KeyboardInterrupt):
        log.warning("interrupted; continue with: python train.py resume=%s", folder)
        sys.exit(EXIT_INTERRUPTED)


def _train(composed: DictConfig, folder: Path) -> float:
    from activae.report import conclude
    from activae.training import train

    cfg = _config_of_run(composed) if composed.resume else composed
    if (folder / DONE).exists():
        raise ConfigError(
            f"resume={composed.resume}: this run has ended ({(folder / DONE).read_text().strip()}); "
            "there is nothing to continue"
        )
    metrics = train(cfg, folder)
    conclude(metrics, cfg, folder)
    return float(metrics["val"]["SE"])


def _config_of_run(composed: DictConfig) -> DictConfig:
    """The config saved in the run folder that is to be continued, once it is known to be harmless."""
    from activae.build import refuse_untrusted

    file = Path(composed.resume) / CONFIG
    others = [
        override
        for override in HydraConfig.get().overrides.task
        if override.split("=")[0] not in ("resume", "trusted_modules")
    ]
    if others:
        raise ConfigError(
            f"{' '.join(others)}: resume={composed.resume} continues that run with its own config, "
            "where nothing else can be set; leave it out, or start a new run"
        )
    if not file.is_file():
        raise ConfigError(f"resume={composed.resume}: no run folder, for {file} does not exist")
    try:
        saved = OmegaConf.load(file)
        refuse_untrusted(OmegaConf.to_container(saved), composed.trusted_modules)
    except (YAMLError, OSError, OmegaConfBaseException) as error:
        raise ConfigError(f"{file}: cannot be read as a config: {error}") from error
    assert isinstance(saved, DictConfig)
    return saved
