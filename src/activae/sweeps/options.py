"""What a launcher's options may be, and the libraries that some launchers need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from activae.errors import ConfigError


def whole(key: str, value: Any, *, optional: bool = False) -> None:
    """Raise ConfigError unless hydra.launcher.KEY is 1, 2, ..., or null if that is an option."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(
            f"hydra.launcher.{key}={_shown(value)}: must be a whole number of 1 or more"
            + (", or null" if optional else "")
        )


def choice(key: str, value: Any) -> None:
    """Raise ConfigError unless hydra.launcher.KEY is true, false or null."""
    if value not in (None, True, False):
        raise ConfigError(f"hydra.launcher.{key}={value}: must be true, false or null")


def library(name: str, launcher: str, install: str) -> Any:
    """The module of that name. Raises ConfigError with what to install where there is none."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"hydra/launcher={launcher} needs {name}: pip install '{install}'"
        ) from error


def _shown(value: Any) -> Any:
    return "null" if value is None else value
