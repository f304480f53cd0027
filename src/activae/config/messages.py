"""The errors of Hydra and OmegaConf as sentences that name the key, the value and what is valid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path, PurePath
from shlex import quote
from typing import TYPE_CHECKING, Any, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    GrammarParseError,
    InterpolationResolutionError,
    OmegaConfBaseException,
    ValidationError,
)

from activae.config.program import training
from activae.config.schema import TrainConfig
from activae.config.trainer_keys import INSTEAD
from activae.config.wording import describe, did_you_mean, shown
from activae.errors import UserError

if TYPE_CHECKING:
    from hydra.errors import OverrideParseException


def explain(error: BaseException) -> str:
    """What is wrong, in one sentence where the error or what it was raised from tells enough."""
    # Here, because a finished run is put to use without Hydra.
    from hydra.errors import MissingConfigException, OverrideParseException

    prefix = _file_at_fault(str(error))
    if re.search(r"override \+*callbacks=|already at 'callbacks'", str(error)):
        return f"callbacks {CALLBACKS}"
    several = re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+)'", str(error))
    if several:
        return _sweep_without_m(several[1])
    twice = re.match(r"Multiple values for (\S+)\..*'override \S+: (.+)'", str(error), re.DOTALL)
    if twice:
        return _second_option(*twice.groups())
    for link in _chain(error):
        match link:
            case UserError():
                return str(link)
            case MissingConfigException(options=[*options], missing_cfg_file=str(option)):
                return _unknown_option(option, options)
            case OverrideParseException():
                return _unreadable_override(link)
            case ConfigKeyError() | ConfigAttributeError():
                return prefix + _unknown_key(link)
            case ValidationError():
                return prefix + _wrong_type(link)
            case OSError(filename=str(file), strerror=str(reason)):
                return (
                    f"{file}: {reason}; choose another folder: hydra.run.dir=FOLDER, or "
                    "hydra.sweep.dir=FOLDER for a sweep"
                )
            case UnicodeError():
                return f"a config file is not text in UTF-8: {link}"
    for link in _chain(error):
        if isinstance(link, (InterpolationResolutionError, GrammarParseError)):
            return prefix + _unresolved(link)
    return str(error).strip()


def _unresolved(error: OmegaConfBaseException) -> str:
    """Hydra makes the names of folders from the overrides: a fault in one may show there first."""
    key = f"{error.full_key}: " if error.full_key else ""
    missing = re.search(r"Missing mandatory value: (hydra\.job\.\w+)", str(error))
    if missing:
        return (
            f"{key}is made with ${{{missing[1]}}}, which only a job of a sweep has; it may stand "
            "in hydra.sweep.subdir, the name of a job's folder"
        )
    return key + _first_line(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _file_at_fault(message: str) -> str:
    """Hydra starts with "In 'GROUP/OPTION': " if a yaml, not an override, is at fault."""
    found = re.match(r"In '(.+?)': ", message)
    return f"{found[1]}.yaml: " if found else ""


def _unknown_option(path: str, options: list[str]) -> str:
    group, _, option = path.rpartition("/")
    if path.startswith("data/"):
        group, option = "data", path.removeprefix("data/")
        kinds = _sources_of(option)
        if kinds:
            own = " or ".join(f"data={kind} data.path={option}" for kind in kinds)
            return f"data={option}: there is no such option. Your own data are {own}"
    if option.lower() in NOTHING and without(group):
        return f"{group}={option}: there is no such option; {without(group)}"
    return (
        f"{group}={option}: there is no such option. {did_you_mean(option, options)}"
        f"Choose one of {', '.join(options)}"
    )


CALLBACKS = (
    "are added by their classes: +callbacks.NAME._target_=MODULE.CLASS, and "
    "+callbacks.NAME.KEY=VALUE for its parameters; early stopping is "
    "trainer.early_stopping_patience=5, and the best and the last checkpoint are always kept"
)
_SEVERAL = {"logger": "logger=[tensorboard,csv]", "regulariser": "regulariser=[kl,mmd]"}


def _sweep_without_m(override: str) -> str:
    given, (key, _, values) = quote(override), override.partition("=")
    both = f"; all of them in one run are {quote(f'{key}=[{values}]')}" if key in _SEVERAL else ""
    return f"{given}: several values are a sweep, which needs -m: {training()} -m {given}{both}"


def _second_option(group: str, option: str) -> str:
    also = f"; several are {_SEVERAL[group]}" if group in _SEVERAL else ""
    return f"+{group}={option}: there is one already, whose place {group}={option} takes{also}"


NOTHING = ("none", "null", "no", "off", "false")
# The option that does nothing, or the least, of the groups that have one.
_LEAST = {
    "logger": ("minimal", "writes CSV, checkpoints and metrics alone"),
    "scheduler": ("constant", "leaves the learning rate as it is"),
    "activation": ("identity", "makes a linear network"),
    "latent": ("deterministic", "is the code of a plain autoencoder"),
    "phases": ("joint", "trains both halves at once"),
    "init": ("torch", "draws torch's own first weights"),
    "corruption": ("none", "shows the samples as they are"),
    "regulariser": ("none", "penalises nothing"),
    "sampler": ("none", "fits nothing"),
}


def without(group: str) -> str:
    """What to choose of a group for doing without it; empty where there is no such option."""
    option, what = _LEAST.get(group, ("", ""))
    return option and f"{group}={option} {what}"


_BY_ENDING = {
    ".csv": ("tabular", "array"),
    ".parquet": ("tabular", "array"),
    ".tsv": ("tabular", "array"),
    ".npy": ("array",),
    ".npz": ("array",),
    ".h5ad": ("h5ad",),
    ".txt": ("text",),
}


def _sources_of(path: str) -> tuple[str, ...]:
    """The options of `data` for a file or folder of the user's own; none if it seems to be none."""
    kinds = _BY_ENDING.get(PurePath(path).suffix.lower(), ())
    return kinds or (("image_folder", "text") if "/" in path or _is_folder(path) else ())


def _is_folder(path: str) -> bool:
    return path != "" and Path(path).is_dir()


def _unreadable_override(error: OverrideParseException) -> str:
    reason = _first_line(
        str(error.message).removeprefix(f"Error parsing override '{error.override}'").strip()
    )
    lexed = re.search(r"^(?:token recognition error at|LexerNoViableAlt)", reason)
    odd = re.search(r"[^\x20-\x7e]", str(error.override))
    if odd:
        reason = f"{odd[0]!r}, character {odd.start() + 1}, needs quotes"
    elif lexed:
        reason = "it has a character that needs quotes"
    return (
        f"{error.override}: cannot be read as KEY=VALUE ({reason}); a value "
        "with other characters than letters, digits and -_./:% goes in two pairs of quotes: "
        "'KEY=\"VALUE\"'"
    )


def _unknown_key(error: OmegaConfBaseException) -> str:
    key, parent = str(error.full_key), error.parent_node
    place, _, name = key.rpartition(".")
    siblings: Any = OmegaConf.to_container(parent) if isinstance(parent, DictConfig) else {}
    known = [str(k) for k in siblings if k not in ("_target_", "_partial_", "hydra")]
    if place == "trainer" and name in INSTEAD:
        return f"{key}: is no key here: {INSTEAD[name]}"
    if place == "race" and not known:
        return f"{key}: is for a race, and experiment=race is missing"
    elsewhere = [] if place else [k for k in _all_keys(siblings) if k.endswith(f".{name}")]
    guess = f"Did you mean {' or '.join(elsewhere)}? " if elsewhere else did_you_mean(name, known)
    if place == "callbacks":
        return f"{key}: there is no such callback. Callbacks {CALLBACKS}"
    if key == "activation.function":
        return (
            f"{key}: goes with activation=custom, and {siblings.get('_target_')} has no such "
            "parameter; to compare functions of your own with others, launch two commands into one "
            "sweep: -m sweep=NAME activation=relu,gelu, then -m sweep=NAME activation=custom "
            f"{key}=MODULE.FUNCTION"
        )
    text = f"{key}: there is no such key. {guess}"
    if known:
        text += f"{f'{place} has' if place else 'The keys are'} {', '.join(known)}"
    if "_target_" in siblings:
        more = f"another parameter of {siblings['_target_']}, write +{key}=VALUE"
        text += f"; for {more}" if known else f"For {more}"
    elif place and isinstance(parent, DictConfig) and parent._metadata.object_type in (None, dict):
        text += f"{'; to' if known else 'To'} add it, write +{key}=VALUE"
    return text.strip()


def _wrong_type(error: ValidationError) -> str:
    if error.full_key == "callbacks":
        return f"callbacks={shown(error.value)}: callbacks {CALLBACKS}"
    hint = _annotation(str(error.full_key))
    wanted = f"must be {describe(hint)}" if hint is not None else _first_line(error)
    return f"{error.full_key}={shown(error.value)}: {wanted}"


def _annotation(key: str) -> Any:
    """How the schema annotates a key; None if it does not know it."""
    hint: Any = TrainConfig
    for part in re.sub(r"\[\d+\]", "", key).split("."):
        hint = get_type_hints(hint).get(part) if is_dataclass(hint) else None
    return hint


def _all_keys(node: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Every key at whatever depth, with its place; not Hydra's own."""
    for key, inner in node.items():
        if f"{place}{key}" != "hydra":
            yield f"{place}{key}"
            if isinstance(inner, Mapping):
                yield from _all_keys(inner, f"{place}{key}.")


def _first_line(error: object) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
