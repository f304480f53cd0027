"""Names of output folders: readable, unique, and short enough for any file system."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from omegaconf import OmegaConf

LONGEST_NAME = 150
_claimed: dict[str, str] = {}


def run_name(overrides: str) -> str:
    """A folder name from a job's overrides: slashes and blanks replaced, overlong ones ended by a hash."""
    name = re.sub(r"[^\w@.,=+:\[\]-]+", "-", overrides)
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(overrides.encode()).hexdigest()[:8]}"
    return name or "defaults"


def run_dir(stem: str, overrides: str, resume: str | None) -> str:
    """The folder of a single run: that of the run it resumes, or a new one at `stem`_OVERRIDES."""
    if resume and Path(resume).is_dir():
        return str(resume)
    return new_dir(f"{stem}_{run_name(overrides)}")


def new_dir(wanted: str) -> str:
    """Make the folder and return its path, with a number added if another launch was quicker.

    Making it is what claims it, so that two launches in one second cannot share a folder. Asked
    again for the same name, a process gets the folder it has.
    """
    if wanted not in _claimed:
        number = 1
        while True:
            path = Path(wanted if number == 1 else f"{wanted}_{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                _claimed[wanted] = str(path)
                break
    return _claimed[wanted]


def hydra_subdir(resume: str | None) -> str | None:
    """Where Hydra keeps its own record; a resumed run keeps the one it has."""
    return None if resume else ".hydra"


def register() -> None:
    """Make these functions known to OmegaConf as resolvers."""
    for function in (run_name, run_dir, new_dir, hydra_subdir):
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)
