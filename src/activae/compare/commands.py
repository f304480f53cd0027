"""The commands that made runs, as their folders tell, and the one that adds seeds to them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from shlex import join

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from activae.compare.collect import ACTIVATION
from activae.config.names import key_of
from activae.config.program import training
from activae.config.settling import CONFIG
from activae.errors import ConfigError
from activae.results.run_folder import FAILED, overrides
from activae.sweeps.folder import FOUND, INDEX, TUNED
from activae.sweeps.resuming import commands_of

_LISTED = 6
_LEVELS = 3  # a sweep's folder is at most so many above its runs'
# Of launches that tune, and then score what they found.
_SCORING = ("experiment=compare_", "experiment=race", "hydra.sweeper.score_seeds=")
_FRESH = "seed=range(100,112)"  # none that a search is likely to have used
_AND = " && "
_SAMPLES_SCORED = "score.samples=true"
_PLAIN = re.compile(r"[\w.,+-]+")  # values that a comma parts, and nothing else
# Of experiment=compare_activations, for runs of another experiment.
_PROTOCOL = ("hydra/sweeper=lr_grid", "hydra.sweeper.score_seeds=12", "logger=minimal")
_SET_BY_TUNING = ("sweep", "optimizer.lr", "score.test", "hydra/sweeper", "logger")


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
    yield from map(_again, _launches(folder))


def _launches(folder: Path) -> list[list[str]]:
    """The commands that a sweep was launched with; none where its record is damaged or missing."""
    try:
        commands = json.loads((folder / INDEX).read_bytes())["commands"]
        return [[str(line) for line in each] for each in commands]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _of_run(folder: Path) -> Iterator[str]:
    if (lines := overrides(folder)) is not None:
        yield join([*training().split(), *lines])


def with_seeds(paths: Iterable[str], seeds: Sequence[int], metric: str = "") -> str | None:
    """The command that made the runs, with other seeds; None where they are not those of a sweep.

    It leads to the same folder, so that only the new seeds are trained. Where a sweep was launched
    several times it has the conditions of all launches; those that do not go into one command
    follow each other. metric: what is compared, for which those that do not score it are no use.
    """
    homes = {Path(path).parent for path in paths}
    launches = _that_score(metric, _trusted_launches(homes))
    if not launches:
        return None
    [home] = homes
    commands = []
    for lines in _together(launches):
        # Without a name another command would name another folder.
        place = [] if "sweep" in map(key_of, lines) else [f"hydra.sweep.dir={home}"]
        commands.append(_again([*lines, *place, f"seed={_written(seeds)}"]))
    return _AND.join(commands)


def _that_score(metric: str, launches: list[list[str]]) -> list[list[str]]:
    """The launches that asked for a metric which runs have on demand alone; all if none did."""
    asked = f"score.{metric.lstrip('|').partition('/')[0]}=true"  # as _SAMPLES_SCORED
    return [lines for lines in launches if asked in (x.lower() for x in lines)] or launches


def tuning_each(paths: Iterable[str]) -> str | None:
    """The command that tunes the rate of each condition of the runs and scores it, in a new sweep.

    All else is as they were launched. None where they are not those of a sweep.
    """
    homes = {Path(path).parent for path in paths}
    commands = []
    for launch in _together(_trusted_launches(homes)):
        lines = [line for line in launch if key_of(line) not in _SET_BY_TUNING]
        is_one = any(key_of(line) == "experiment" for line in lines)  # and there can be no other
        protocol = _PROTOCOL if is_one else ("experiment=compare_activations",)
        commands.append([*protocol, *lines])
    if len(commands) > 1:
        name = re.sub(r"[^\w.-]+", "-", homes.pop().name)
        commands = [[f"sweep={name}_tuned", *lines] for lines in commands]
    return _AND.join(map(_again, commands)) or None


def not_begun(home: Path) -> Iterator[str]:
    """What of a sweep has no run yet: sentences."""
    try:
        jobs = json.loads((home / INDEX).read_bytes())["jobs"].values()
        missing = sum(not _has_begun(home / str(job["folder"])) for job in jobs)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return
    if missing:
        yield f"{missing} of {len(jobs)} runs of {home} have not begun: start the sweep again"
    lines = [line for each in _launches(home) for line in each if not line.endswith("seeds=0")]
    scores = any(line.startswith(_SCORING) for line in lines)
    if scores and not (home / TUNED).is_file():
        yield (
            f"{home} is still tuning: the runs that score the best rates on test come after it, "
            "and alone are an answer; start the sweep again to go on"
        )


def _has_begun(folder: Path) -> bool:
    """Whether a job has a run, or a note of why it can have none, which its sweep tells."""
    return (folder / CONFIG).is_file() or (folder / FAILED).is_file()


def is_search(home: Path) -> bool:
    """Whether a folder is that of a search, whose trials were chosen by the scores before them."""
    return (home / FOUND).is_file()


def after_a_search(home: Path) -> str | None:
    """The command that compares what was searched, with fresh seeds; None where it is not known.

    Activations are compared each with its own rate; of anything else the best trial is scored.
    """
    launches = _trusted_launches({home})
    if not launches:
        return None
    mine = ("sweep", "hydra/sweeper")
    lines = [x for x in launches[-1] if key_of(x) not in mine and "hydra.sweeper." not in key_of(x)]
    parsed = OverridesParser.create().parse_overrides(lines)
    searched = {each.key_or_group: each for each in parsed if each.is_sweep_override()}
    fixed = [line for line in lines if key_of(line) not in searched]
    if (own := searched.get(ACTIVATION)) is not None and own.is_discrete_sweep():
        fixed = [line for line in fixed if key_of(line) not in _SET_BY_TUNING]
        names = ",".join(own.sweep_string_iterator())
        return _again(["experiment=compare_activations", f"activation={names}", *fixed])
    best = [f"{key}={value}" for key, value in _best_params(home).items()]
    if {*map(key_of, best)} != searched.keys():
        return None
    return _again([*fixed, *best, _FRESH])


def _again(lines: Iterable[str]) -> str:
    """The command that launches a sweep of these lines."""
    return join([*training().split(), "-m", *lines])


def _best_params(home: Path) -> dict[str, str]:
    """Those of the best trial, as far as they are plain."""
    try:
        found = yaml.safe_load((home / FOUND).read_bytes())["best_params"].items()
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        return {}
    return {str(k): str(v) for k, v in found if _PLAIN.fullmatch(str(v))}


def _trusted_launches(homes: Collection[Path]) -> list[list[str]]:
    """The launches of a sweep, each once and without its seeds; none where there is another folder.

    Nor have they what would not be resumed: the folder may be a stranger's, and a command is there
    to be copied.
    """
    if len(homes) != 1:
        return []
    [home] = homes
    launches = _launches(home)
    if not launches:
        return []
    try:
        left_out = commands_of(home, []).left_out  # what a stranger's folder may not ask for
    except ConfigError:
        return []
    kept = [
        [line for line in each if line not in left_out and key_of(line) != "seed"]
        for each in launches
    ]
    return [list(each) for each in dict.fromkeys(map(tuple, _with_one_sampler(kept)))]


def _with_one_sampler(launches: Sequence[list[str]]) -> Iterator[list[str]]:
    """Launches with the last one's sampler, where that is no part of what a run is.

    A run keeps one, and a sweep refuses several unless their samples are scored.
    """

    def of_sampler(line: str) -> bool:
        return key_of(line).split(".")[0] == "sampler"

    unscored = [lines for lines in launches if _SAMPLES_SCORED not in map(str.lower, lines)]
    last = [line for line in unscored[-1] if of_sampler(line)] if unscored else []
    for lines in launches:
        others = [line for line in lines if not of_sampler(line)]
        yield [*others, *last] if lines in unscored else lines


def _together(launches: Sequence[list[str]]) -> Sequence[list[str]]:
    """One launch with all their conditions, where they differ in the values of one key; or they."""
    merged = _merged(launches) if len(launches) > 1 else None
    return launches if merged is None else [merged]


def _merged(launches: Sequence[Sequence[str]]) -> list[str] | None:
    settings = [dict(line.partition("=")[::2] for line in each) for each in launches]
    if len({frozenset(each) for each in settings}) > 1:
        return None
    differing = [key for key in settings[0] if len({each[key] for each in settings}) > 1]
    merged = dict(settings[-1])
    for key in differing:
        values = [each[key] for each in settings]
        if len(differing) > 1 or not all(map(_PLAIN.fullmatch, values)):
            return None
        merged[key] = ",".join(dict.fromkeys(",".join(values).split(",")))
    return [f"{key}={value}" for key, value in merged.items()]


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
