"""The arguments of a command as Hydra's parser and grammar take them."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser

from activae.config.names import key_of
from activae.config.wording import home_expanded

_ONE_PATH = ("resume", "hydra.sweep.dir", "hydra.run.dir")  # a sweep cannot vary these
_PATHS = ("data.path", "data.root", "init_from")
_FILE_OR_NUMBER = "lr"
_GRAMMAR = re.compile(r"[,()\[\]{}]|\$\{")  # of sweeps, lists and interpolations
_INFO = ("-i", "--info")
# As it may be said, and as the config calls it: ids of runs go by that.
_ALIASES = {"data.source.label": "data.source.label_column"}
# Hydra has no word for every option of a group.
_EVERY = {"activation=all": "activation=glob(*)"}
_GLOB = re.compile(r"(activation(?:@[\w.]+)?)=glob\((?!.*exclude)(.+)\)")


def for_hydra(arguments: Sequence[str]) -> list[str]:
    """The flags, then the overrides, with paths in quotes; activation=all is every activation.

    Ends the process with argparse's usage where a flag is not known, as Hydra does.
    """
    flags, overrides, parsed = _divided(arguments)
    if parsed.config_path and "://" not in parsed.config_path:
        # Hydra takes it from the folder of the module that decorates the task function.
        flags.append(f"--config-path={Path(parsed.config_path).expanduser().absolute()}")
    given = any(key_of(each).endswith(".function") for each in overrides)
    return [*flags, *(_quoted(_without_custom(_renamed(each), given)) for each in overrides)]


def _renamed(argument: str) -> str:
    """The argument with the config's own name for its key."""
    key, equals, value = argument.partition("=")
    return f"{_ALIASES.get(key, key)}{equals}{value}"


def _without_custom(argument: str, given: bool) -> str:
    """The argument, whose pattern does not take `custom`: it is none until given a function."""
    every = _EVERY.get(argument, argument)
    found = None if given else _GLOB.fullmatch(every)
    return every if found is None else f"{found[1]}=glob({found[2]},exclude=custom)"


def shows_only(arguments: Sequence[str]) -> bool:
    """Whether the command shows a config or a help text, and trains nothing."""
    parsed = _divided(arguments)[2]
    return bool(parsed.cfg or parsed.info or parsed.help or parsed.hydra_help)


def with_home(argument: str) -> str:
    """The argument with the home folder for the ~ of a path, which a shell leaves after a =."""
    key, equals, value = argument.partition("=")
    if key not in (*_ONE_PATH, *_PATHS, _FILE_OR_NUMBER):
        return argument
    paths = value.split(",") if key in _PATHS else [value]
    return f"{key}{equals}{','.join(map(home_expanded, paths))}"


def _divided(arguments: Sequence[str]) -> tuple[list[str], list[str], Namespace]:
    """Flags with their values, overrides, and what argparse makes of them."""
    parser = get_args_parser()
    known = set(next(action for action in parser._actions if action.dest == "info").choices or ())
    plain = [
        # Alone it would take the override that follows for its value.
        "--info=all" if argument in _INFO and (not after or after not in known) else argument
        for argument, after in zip(arguments, [*arguments[1:], ""], strict=True)
    ]
    parsed, _ = parser.parse_known_intermixed_args(plain)
    flags, overrides = list(plain), list(parsed.overrides)
    for override in reversed(overrides):  # from the end: a flag's value may be the same word
        del flags[len(flags) - 1 - flags[::-1].index(override)]
    return flags, overrides, parsed


def _quoted(argument: str) -> str:
    """The argument with quotes where it sets a path: a run's folder has = and , in its name.

    Hydra's grammar has other uses for these. What is no path that exists may be a sweep of several.
    """
    key, _, value = argument.partition("=")
    # One that exists is taken as it is, whatever characters it has.
    literal = (
        key in ("resume", "hydra.sweep.dir")
        or (
            key in ("hydra.run.dir", *_PATHS)
            and ("${" not in value and (not _GRAMMAR.search(value) or Path(value).exists()))
        )
        or (key == _FILE_OR_NUMBER and Path(value).exists())
    )
    if not literal or not value or value == "null" or value[0] in "'\"":
        return argument
    escaped = value.replace('"', '\\"')
    return f'{key}="{escaped}"'
