"""What `resume=SWEEP` launches: the commands in the sweep's folder, if a folder may give them.

The folder may come from anybody, so its commands are data: known keys with plain values, or with
the value of another key of the run (`${seed}`). They name no folder of configs, no Hydra flag,
nothing that is computed; of Hydra's own part, the launcher and the sweeper by the names of ours,
and scalars of theirs. What the values in turn name is checked
against `activae.config.trust` when each job's config is settled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from shlex import quote
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from activae.config.names import key_of
from activae.config.program import training
from activae.config.schema import TrainConfig
from activae.errors import ConfigError
from activae.sweeps.folder import INDEX, SweepFolder

_MULTIRUN = ("-m", "--multirun")
# Where Hydra looks for configs: the user's to say, never a folder's.
_CONFIG_FLAGS = {
    "-cd": "--config-dir",
    "-cn": "--config-name",
    "-cp": "--config-path",
}
_BUDGET = "race."
# What the command that resumes a sweep may set: how it runs, not what.
_HOW = ("hydra.", "hydra/", "trusted_modules=", _BUDGET)
# Said at each launch, by the user.
_EACH_TIME = ("resume", "trusted_modules")
_KEYS = {field.name for field in fields(TrainConfig)} - set(_EACH_TIME)
# Without a dot and yet no group.
_SCALARS = ("seed", "lr", "sweep", "version", "init_from", "freeze")
_OPTIONS = {
    "hydra/launcher": ("basic", "ray", "slurm", "stacked", "submitit_local"),
    "hydra/sweeper": ("basic", "grid", "lr_grid", "optuna", "race"),
}
_ELSEWHERE = ("hydra.searchpath", "hydra.sweeper.storage")
_PARAMS = "hydra.sweeper.params"
_LAUNCHER = (
    *("workers", "compile", "stack", "tasks", "num_cpus", "num_gpus", "n_jobs", "jobs"),
    *("cpus_per_task", "timeout_min", "partition", "gpus_per_node", "mem_gb", "array_parallelism"),
)
_SLURM = ("account", "qos", "constraint", "reservation", "nice", "gres", "exclude", "nodelist")
_SWEEPER = (
    *("max_batch_size", "key", "start", "factor", "points", "extend", "limit", "seeds"),
    *("score_seeds", "n_trials", "n_jobs", "study_name"),
)
_HYDRA_SCALAR = re.compile(
    rf"hydra\.launcher\.({'|'.join(_LAUNCHER)}"
    rf"|init\.num_cpus|additional_parameters\.({'|'.join(_SLURM)}))"
    rf"|hydra\.sweeper\.({'|'.join(_SWEEPER)}|(sampler|pruner)\.[a-z]\w*)"
)
# The value of another key, by its name alone: no resolver, and nothing beside it.
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)(\.\w+)*\}", re.ASCII)
# No blanks: sbatch would take what follows for another of its parameters.
_WORD = re.compile(r"[\w.,:@+&|*()\[\]-]*")


@dataclass
class Relaunch:
    """What continues a sweep.

    commands: the command lines, without the program; left_out: those of the folder's lines that are
    not in them, because what they say is the user's to say.
    """

    commands: list[list[str]]
    left_out: list[str]

    def __str__(self) -> str:
        """What to know of the lines that are left out; empty where there are none."""
        if not self.left_out:
            return ""
        lines = " ".join(map(quote, self.left_out))
        return (
            f"left out, as a sweep's folder cannot vouch for it (give it again if meant): {lines}"
        )


def resumed_sweep(arguments: Sequence[str]) -> Path | None:
    """The folder of the sweep that a command line resumes, if it does."""
    folder = resumed(arguments)
    return folder if folder is not None and (folder / INDEX).is_file() else None


def resumed(arguments: Sequence[str]) -> Path | None:
    """The folder that a command line resumes, whatever it holds."""
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key.lstrip("+") == "resume" and value:
            return Path(value.strip("'\""))
    return None


def commands_of(sweep: Path, arguments: Sequence[str]) -> Relaunch:
    """The command lines that a sweep was launched with, to be launched again.

    Raises ConfigError where `arguments` change what is trained, the sweep's record is damaged or
    holds what a folder may not say, a link leads out of the folder, or the sweep was launched with
    configs that `arguments` don't name.
    """
    flags, rest = _config_flags(arguments)
    others = [a for a in rest if a not in _MULTIRUN and not a.lstrip("+").startswith("resume=")]
    strange = [a for a in others if not a.lstrip("+~").startswith(_HOW)]
    if strange:
        raise ConfigError(
            f"{' '.join(strange)}: resume={sweep} continues that sweep with its own configs, where "
            "nothing else can be set; to add runs, launch a larger grid under the same name"
        )
    folder = SweepFolder(sweep)
    folder.refuse_links_away()
    place = [f"hydra.sweep.dir={sweep}", f"resume={sweep}"]
    said = {key_of(line).lstrip("+~") for line in others}
    again = Relaunch([], [])
    # The same race with another budget is one race, with the budget that it was given last.
    races = {
        tuple(line for line in command if not line.startswith(_BUDGET)): command
        for command in folder.index()["commands"]
    }
    for command in races.values():
        noted, lines = _config_flags(command)
        if noted and not flags:
            whole = " ".join(map(quote, [*noted, f"resume={sweep}", *others]))
            raise ConfigError(
                f"resume={sweep}: was launched with configs from elsewhere, which can name any "
                f"code. If you know them, say so: {training()} {whole}"
            )
        kept = [line for line in lines if _may_say(line, f"resume={sweep}", said)]
        again.commands.append([*flags, "-m", *kept, *place, *others])
        dropped = [line for line in lines if line not in kept and not _is_said(line, said)]
        again.left_out += [line for line in dropped if line not in again.left_out]
    return again


def _is_said(line: str, said: set[str]) -> bool:
    """Whether the user's own command says what the line is about, or each launch does."""
    return key_of(line).lstrip("+~") in {*said, *_EACH_TIME}


def _config_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags about configs, each with its value behind a =, and the other arguments."""
    flags, rest = [], []
    left = iter(arguments)
    for argument in left:
        name, _, value = argument.partition("=")
        name = _CONFIG_FLAGS.get(name, name)
        if name in _CONFIG_FLAGS.values():
            flags.append(f"{name}={value or next(left, '')}")
        else:
            rest.append(argument)
    return flags, rest


def _may_say(line: str, sweep: str, said: set[str]) -> bool:
    """Whether a line of a sweep's folder is launched again; if not, it is for the user to say.

    said: keys that the user's own command sets. Raises ConfigError for what no folder may say.
    """
    override = _parsed(line, sweep)
    key = override.key_or_group
    if key in said or key in _EACH_TIME:
        return False
    if key.replace("/", ".").split(".")[0] == "hydra":
        return _may_say_of_hydra(override, line, sweep)
    _refuse_unless_known(override, line, sweep, refers=_refers(override, line))
    return True


def _refers(override: Override, line: str) -> bool:
    """Whether a line gives a key of a run, not a group, the value of another key of the run.

    What that value names is checked as any other, once the run's config is resolved.
    """
    found = _REFERENCE.fullmatch(line.partition("=")[2])
    key = override.key_or_group
    is_value = ("." in key or key in _SCALARS) and not override.package
    return found is not None and found[1] in _KEYS and is_value and "$" not in key


def _parsed(line: str, sweep: str) -> Override:
    if line.startswith("-"):
        raise _refusal(line, sweep, "flags are for you to give")
    try:
        return OverridesParser.create().parse_override(line)
    except HydraException:
        raise _refusal(line, sweep, "it is no override") from None


def _refuse_unless_known(
    override: Override, line: str, sweep: str, *, refers: bool = False
) -> None:
    """Raise ConfigError unless the line sets a key of the schema or chooses an option by a name.

    refers: whether its value may be another key's.
    """
    key, package = override.key_or_group, override.package
    if (
        "$" in line and not refers
    ):  # escaped ones are interpolations too, once Hydra has parsed them
        raise _refusal(line, sweep, "it may hold values alone, not interpolations")
    if package and package.split(".")[0] not in _KEYS:
        raise _refusal(line, sweep, f"nothing of a run is at {package}")
    if "." in key:
        if key.split(".")[0] not in _KEYS:
            raise _refusal(line, sweep, f"a run has no {key.split('.')[0]}")
    elif key not in _SCALARS and re.search(r"[/\\]|\.\.", line.partition("=")[2]):
        raise _refusal(line, sweep, "an option is a name, not a path")


def _may_say_of_hydra(override: Override, line: str, sweep: str) -> bool:
    """Whether it chooses a launcher or sweeper of ours or sets a known scalar of theirs.

    What is not launched again says how the sweep runs, not what it trains. Raises ConfigError for
    Optuna's storage and folders of configs, without which it would be another sweep.
    """
    key = override.key_or_group
    if override.package or override.is_delete():
        return False
    if key in _ELSEWHERE:
        raise _refusal(line, sweep, "it leads elsewhere")
    value = None if override.is_sweep_override() else override.value()
    if key == "hydra.sweeper.key":  # of the lines that the sweeper will write
        _refuse_unless_known(_parsed_for_a_run(f"{value}=1", sweep), f"{value}=1", sweep)
    if key == _PARAMS or key.startswith(f"{_PARAMS}."):
        found = value if isinstance(value, Mapping) else {key.removeprefix(f"{_PARAMS}."): value}
        for name, values in found.items():
            inner = f"{name}={values}"
            _refuse_unless_known(_parsed_for_a_run(inner, sweep), inner, sweep)
        return True
    if key in _OPTIONS:
        if value not in _OPTIONS[key]:
            raise _refusal(line, sweep, f"it may choose among {', '.join(_OPTIONS[key])}")
        return True
    return bool(_HYDRA_SCALAR.fullmatch(key)) and all(map(_is_plain, _flat(value)))


def _parsed_for_a_run(line: str, sweep: str) -> Override:
    override = _parsed(line, sweep)
    if override.key_or_group.replace("/", ".").split(".")[0] in ("hydra", *_EACH_TIME):
        raise _refusal(line, sweep, "a sweep combines what is trained")
    return override


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for inner in value:
            yield from _flat(inner)
    else:
        yield value


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_WORD.fullmatch(value))
    return value is None or isinstance(value, (bool, int, float))


def _refusal(line: str, sweep: str, why: str) -> ConfigError:
    return ConfigError(
        f"{sweep}: its {INDEX} holds {line!r}, which a sweep's folder may not say: {why}. If you "
        "launched it yourself, give what belongs to hydra again behind resume=, or launch the "
        "sweep with its whole command: what is done is found"
    )
