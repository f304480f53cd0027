"""Names of output folders: readable, unique, and short enough for any file system."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from activae.config.dotted_path import resolve
from activae.config.program import training
from activae.config.run_folders import refuse_unless_run
from activae.config.schema import TrainConfig
from activae.config.settling import CONFIG
from activae.errors import ConfigError

_OF_HYDRAS_SWEEP = "multirun.yaml"
LONGEST_NAME = 150  # bytes; file systems allow 255, and a time or a number is added
LONGEST_SWEEP_NAME = 48  # so that `tensorboard --logdir outputs/sweeps/NAME` stays on a line
# Groups whose options say what they are without the group's name.
MAIN = ("activation", "data", "encoding", "objective", "optimizer", "scheduler", "experiment")
_GROUPS = {field.name for field in fields(TrainConfig)} - {"lr"}  # which is optimizer.lr


def run_name(overrides: str) -> str:
    """What a run is called, by its overrides as Hydra joins them: gelu,lr=0.003,seed=4.

    Main choices go first, by their value alone, then other keys by the last parts that tell them
    apart. The seed is at the end, where it stays when a long name is cut in the middle.
    """
    lines = _LINES.split(overrides) if overrides else []
    keys = [place_of(key_of(line)).removesuffix(_CLASS) for line in lines]
    told = [
        _told(key, short, _value(line, key))
        for key, short, line in sorted(
            zip(keys, short_names(keys), lines, strict=True), key=lambda part: _rank(part[0])
        )
    ]
    seed = f",{told.pop()}" if "seed" in keys and len(told) > 1 else ""
    return folder_name(",".join(told), LONGEST_NAME - len(seed)) + _valid(seed)


_CLASS = "._target_"
_LINES = re.compile(r",(?=~|\+*[\w./@-]+=)")  # where one override ends and another begins


def place_of(key: str) -> str:
    """Where the key of an override sets its value; that of a whole config goes by its group."""
    group, _, place = key.lstrip("+").rpartition("@")
    return group if place == "_global_" else place


def _rank(key: str) -> int:
    return MAIN.index(key) if key in MAIN else len(MAIN) + (key == "seed")


def _value(line: str, key: str) -> str:
    """An override's value: of a class its own name, of several options these without brackets."""
    name, _, value = line.partition("=")
    if name.endswith(_CLASS):
        return value.rpartition(".")[2]
    several = re.fullmatch(r"\[(\w+(?:,\w+)*)\]", value)
    return several[1].replace(",", "+") if several and key in _GROUPS else value


def _told(key: str, short: str, value: str) -> str:
    if not value:
        return key
    return value if key in MAIN and re.fullmatch(r"\w+", value) else f"{short}={value}"


def short_names(keys: Sequence[str]) -> list[str]:
    """The fewest last parts of each key that tell it from the others, and from a group's name.

    optimizer.lr is lr, encoder.activation is itself.
    """
    return [
        next(short for short in _endings(key) if short == key or not _is_taken(short, key, keys))
        for key in keys
    ]


def _endings(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[start:]) for start in reversed(range(len(parts)))]


def _is_taken(short: str, key: str, keys: Sequence[str]) -> bool:
    others = (other for other in keys if other != key)
    return short in _GROUPS or any(short in _endings(other) for other in others)


def folder_name(text: str, longest: int = LONGEST_NAME) -> str:
    """A text as the name of a folder: slashes and blanks replaced, its end hashed if too long."""
    name = _valid(text)
    return (name if len(name.encode()) <= longest else _cut(name, longest, text)) or "defaults"


def _valid(text: str) -> str:
    return re.sub(r"[^\w@.,=+\[\]-]+", "-", re.sub("[\"']", "", text))


def _cut(name: str, longest: int, whole: str) -> str:
    """At most so many bytes of the name, and a hash of all that it stands for."""
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{name.encode()[:longest].decode(errors='ignore')}-{digest}"


def key_of(override: str) -> str:
    """The key that an override line sets."""
    return override.partition("=")[0]


def varying(jobs: Iterable[Sequence[str]], command: Iterable[str] = ()) -> set[str]:
    """The keys that tell jobs apart: not set alike in all of them, or swept by the command."""
    lines = [{key_of(line): line for line in job} for job in jobs]
    keys = {key for job in lines for key in job}
    differing = {key for key in keys if len({job.get(key) for job in lines}) > 1}
    return differing | {key_of(line) for line in command if _is_swept(line)}


def _is_swept(override: str) -> bool:
    return OverridesParser.create().parse_override(override).is_sweep_override()


def run_dir(stem: str, overrides: str, resume: str | None, *, claim: bool = True) -> str:
    """The folder of a single run: that of the run it resumes, or a new one at `stem`_OVERRIDES.

    With `claim` false the new one is named and not made.

    Raises ConfigError if there is no run to resume.
    """
    if not resume:
        wanted = f"{stem}_{run_name(overrides)}"
        return new_dir(wanted) if claim else wanted
    is_run = (Path(resume) / CONFIG).is_file()
    if not is_run and (Path(resume) / _OF_HYDRAS_SWEEP).is_file():
        raise ConfigError(
            f"resume={resume}: is a sweep that hydra/launcher=basic launched, which keeps no "
            "record of its jobs: resume its runs one by one, by their folders in it"
        )
    refuse_unless_run(resume, "resume=")
    return str(resume)


def sweep_dir(root: str, name: str | None, command: Sequence[str]) -> str:
    """A sweep's folder: `root`/NAME, or named by the command, which leads there again.

    Of a long command the name shows what is swept, and a hash stands for the whole. A race with
    another budget is the same race.
    """
    if not name:
        how = ("resume=", "trusted_modules=", "race.")
        ours = [line for line in command if not line.startswith(how)]
        name = folder_name(",".join(ours))
        if len(name.encode()) > LONGEST_SWEEP_NAME:
            swept = [line for line in ours if _is_swept(line)] or ours
            name = _cut(_valid(",".join(swept)), LONGEST_SWEEP_NAME, ",".join(ours))
    return f"{root}/{name}"


def new_dir(wanted: str) -> str:
    """Make the folder and return its path, with a number added if another launch was quicker.

    Making it is what claims it, so that two launches in one second cannot share a folder.
    """
    number = 1
    while True:
        path = Path(wanted if number == 1 else f"{wanted}_{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return str(path)


def hydra_subdir(resume: str | None) -> str | None:
    """Where Hydra keeps its own record; a resumed run keeps the one it has."""
    return None if resume else ".hydra"


def from_data(function: str, *settings: Any) -> Any:
    """A default that depends on the user's data: what the function, by its path, makes of them."""
    found = resolve("from_data", function)
    return found(*settings)  # type: ignore[operator]


def register(*, claim: bool = True) -> None:
    """Make these functions known to OmegaConf as resolvers.

    With `claim` false none makes a folder: for commands that only show what would be done.
    """
    for name, function, cached in (
        ("run_name", run_name, False),
        ("hydra_subdir", hydra_subdir, False),
        ("program", training, False),
        ("from_data", from_data, False),
        (
            "run_dir",
            partial(run_dir, claim=claim),
            True,
        ),  # asked again, a launch gets the folder it has
        # Asked by a job, with other overrides, it is the sweep's all the same.
        ("sweep_dir", _asked_once(sweep_dir), False),
    ):
        OmegaConf.register_new_resolver(name, function, replace=True, use_cache=cached)


def _asked_once(function: Callable[..., str]) -> Callable[..., str]:
    """The function's first answer, whatever it is asked later."""
    answers: list[str] = []

    def answer(*args: Any) -> str:
        if not answers:
            answers.append(function(*args))
        return answers[0]

    return answer
