"""Launching a sweep again from its folder: `resume=outputs/sweeps/NAME`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from activae.errors import ConfigError

INDEX = "sweep.json"
_FLAGS = ("-m", "--multirun")
# What may be said anew of a sweep that is resumed: how it runs, not what.
_HOW = ("hydra.", "hydra/", "trusted_modules=")


def resumed_sweep(arguments: Sequence[str]) -> Path | None:
    """The folder of the sweep that a command line resumes, if it does."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "resume" and value:
            folder = Path(value.strip("'\""))
            return folder if (folder / INDEX).is_file() else None
    return None


def commands_of(sweep: Path, arguments: Sequence[str]) -> list[list[str]]:
    """The command lines that a sweep was launched with, to be launched again.

    Raises ConfigError where `arguments` change what is trained, or the sweep's record is damaged.
    """
    others = [a for a in arguments if a not in _FLAGS and not a.startswith("resume=")]
    strange = [a for a in others if not a.startswith(_HOW)]
    if strange:
        raise ConfigError(
            f"{' '.join(strange)}: resume={sweep} continues that sweep with its own configs, where "
            "nothing else can be set; to add runs, launch a larger grid under the same name"
        )
    try:
        commands: list[list[str]] = json.loads((sweep / INDEX).read_text())["commands"]
    except (OSError, ValueError, LookupError) as error:
        raise ConfigError(f"resume={sweep}: {sweep / INDEX} is damaged: {error}") from error
    place = [f"hydra.sweep.dir={sweep}", f"resume={sweep}"]
    return [["-m", *filter(_is_harmless, command), *place, *others] for command in commands]


def _is_harmless(override: str) -> bool:
    """Not what names code or other configs, which a folder from elsewhere shall not."""
    if not override.lstrip("+~").startswith(("hydra.", "hydra@", "hydra=")):
        return True
    ours = ("hydra.launcher.", "hydra.sweeper.", "+hydra.launcher.additional_parameters.")
    # A line break would end the comment that sbatch takes such a parameter from.
    return override.startswith(ours) and "_target_" not in override and "\n" not in override
