"""The commands that made runs, as their folders tell, and the one that adds seeds to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shlex import join

import yaml

from activae.config.names import key_of
from activae.errors import ConfigError
from activae.sweeps.folder import INDEX
from activae.sweeps.resuming import commands_of

_LISTED = 6
_LEVELS = 3  # a sweep's folder is at most so many above its runs'
_START = ("python", "train.py")


def commands(paths: Iterable[str]) -> Iterator[str]:
    """The commands that made the runs, each once, 6 at most: of their sweeps, or their own."""
    found: dict[str, None] = {}
    sweeps: dict[Path, bool] = {}
    for path in map(Path, paths):
        home = next((up for up in list(path.parents)[:_LEVELS] if _is_sweep(up, sweeps)), None)
        if home is not None:
            found |= dict.fromkeys(_of_sweep(home))
        elif len(found) <= _LISTED:
            found |= dict.fromkeys(_of_run(path))
    yield from list(found)[:_LISTED]
    if len(found) > _LISTED:
        yield f"# and {len(found) - _LISTED} more"


def _is_sweep(folder: Path, known: dict[Path, bool]) -> bool:
    if folder not in known:
        known[folder] = (folder / INDEX).is_file()
    return known[folder]


def _of_sweep(folder: Path) -> Iterator[str]:
    yield from (join([*_START, "-m", *each]) for each in _launches(folder))


def _launches(folder: Path) -> list[list[str]]:
    """The commands that a sweep was launched with; none where its record is damaged or missing."""
    try:
        commands = json.loads((folder / INDEX).read_bytes())["commands"]
        return [[str(line) for line in each] for each in commands]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _of_run(folder: Path) -> Iterator[str]:
    try:
        lines = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_bytes())
    except (OSError, ValueError, yaml.YAMLError):
        return
    if isinstance(lines, list):
        yield join([*_START, *map(str, lines)])


def with_seeds(paths: Iterable[str], seeds: Sequence[int]) -> str | None:
    """The command that made the runs, with other seeds; None where it is not one of a sweep.

    Nor has it what would not be resumed: the folder may be a stranger's, and the command is there
    to be copied.
    It leads to the same folder, so that only the new seeds are trained. Where a sweep was launched
    several times the last one counts: each adds to those before.
    """
    homes = {Path(path).parent for path in paths}
    if len(homes) != 1:
        return None
    [home] = homes
    try:
        left_out = commands_of(home, []).left_out  # what a stranger's folder may not ask for
        lines = [line for line in _launches(home)[-1] if line not in left_out]
    except (ConfigError, IndexError):
        return None
    lines = [line for line in lines if key_of(line) != "seed"]
    if "sweep" not in map(key_of, lines):  # else another command would name another folder
        lines.append(f"hydra.sweep.dir={home}")
    return join([*_START, "-m", *lines, f"seed={_written(seeds)}"])


def seeds_were_added(paths: Iterable[str]) -> bool:
    """Whether a sweep of the runs was launched with one list of seeds and then with another."""
    for home in {Path(path).parent for path in paths}:
        lines = [line for each in _launches(home) for line in each]
        if len({line for line in lines if key_of(line) == "seed"}) > 1:
            return True
    return False


def _written(seeds: Sequence[int]) -> str:
    """Seeds as an override names them: range(12), or 1,2,5."""
    if list(seeds) == list(range(len(seeds))):
        return f"range({len(seeds)})"
    return ",".join(map(str, seeds))
