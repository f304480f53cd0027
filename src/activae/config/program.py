"""How this command is called and where its configs lie: in a checkout, or installed from a wheel.

Messages end in commands to copy, which should work as they stand where they are read.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

_PACKAGE = Path(__file__).resolve().parents[1]
_OF_A_WHEEL = _PACKAGE / "configs"
_OF_A_CHECKOUT = _PACKAGE.parents[1] / "configs"


@cache
def configs_folder() -> Path:
    """The folder of Hydra's groups: inside the package if a wheel brought it, else by train.py."""
    return _OF_A_WHEEL if _OF_A_WHEEL.is_dir() else _OF_A_CHECKOUT


def training() -> str:
    """What starts a training command."""
    return _console() or "python train.py"


def comparing() -> str:
    """What starts a comparison."""
    return f"{_console()} compare" if _console() else "python scripts/compare.py"


def using() -> str:
    """What starts a command that puts a run to use."""
    return f"{_console()} use" if _console() else "python scripts/use.py"


def config_flags(config: DictConfig) -> list[str]:
    """The flags that say where Hydra found the configs beside our own that it composed this of."""
    flags = [
        f"--config-dir={source.path}"
        for source in OmegaConf.select(config, "hydra.runtime.config_sources") or ()
        if source.provider == "command-line"
    ]
    name = OmegaConf.select(config, "hydra.job.config_name")
    return flags if name in (None, "train") else [*flags, f"--config-name={name}"]


def _console() -> str:
    """How the package itself is run; empty in a checkout, whose scripts serve."""
    program = Path(sys.argv[0])  # a worker of this command has its arguments too
    if program.name == "__main__.py" and program.parent.name == "activae":
        return "python -m activae"
    installed = configs_folder() == _OF_A_WHEEL
    return "activae" if installed or program.stem == "activae" else ""
