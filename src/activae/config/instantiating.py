"""Turns config nodes into objects, as Hydra's `instantiate` does, and without importing Hydra.

A node names a `_target_`; its other keys are that target's keyword parameters. `faults` checks both
without calling anything, so that a misspelt key is an error that lists the right ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import cache, partial
from typing import Any, get_type_hints

from omegaconf import OmegaConf
from yaml import safe_load

from activae.config.dotted_path import resolve
from activae.config.program import configs_folder
from activae.config.wording import describe, did_you_mean, fits, shown
from activae.errors import ConfigError, UserError

_HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_"}


def build(node: Any, key: str) -> Any:
    """The object or factory that a config node describes; `key` is where it stands in the config.

    Raises ConfigError for a `_target_` that cannot be imported or a value that it refuses.
    """
    if not isinstance(node, Mapping):
        return node
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    values = {
        name: build(inner, f"{key}.{name}")
        if isinstance(inner, Mapping) and "_target_" in inner
        else deepcopy(inner)
        for name, inner in node.items()
    }
    if "_target_" not in node:
        return values
    target = locate(node["_target_"], f"{key}._target_")
    parameters = {name: value for name, value in values.items() if name not in _HYDRA_KEYS}
    if node.get("_partial_"):
        return partial(target, **parameters)
    try:
        return target(**parameters)
    except UserError:
        raise
    except Exception as error:  # whatever a target of the user's own raises
        raise ConfigError(f"{key}: {label(node)} was refused: {error}") from error


def call(factory: Callable[..., Any], key: str, *args: Any, **kwargs: Any) -> Any:
    """Call a factory that `build` made; what it refuses is a ConfigError that names the key."""
    try:
        return factory(*args, **kwargs)
    except UserError:
        raise
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        raise ConfigError(f"{key}: {error}") from error


def label(node: Any) -> str:
    """A short name for what a node builds: LeakyReLU(negative_slope=0.2).

    What is switched on or off, or 0, by default is left out for as long as it is left alone.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        return "linear" if node is None else str(node)
    switches = _switches(str(node["_target_"]))
    set_ = {k: v for k, v in node.items() if k not in switches or switches[k] != v}
    return _with_parameters(str(node["_target_"]).rsplit(".", 1)[-1], set_)


def _with_parameters(name: str, node: Mapping[str, Any]) -> str:
    parameters = ", ".join(
        f"{key}={value}"
        for key, value in node.items()
        if key not in _HYDRA_KEYS and value not in (None, {}) and not isinstance(value, Mapping)
    )
    return f"{name}({parameters})" if parameters else name


def activation_label(cfg: Mapping[str, Any]) -> str:
    """A short name for the hidden activations of a settled config: both, where halves differ.

    It is the option's, with what was set otherwise, where the config keeps which was chosen.
    """
    return " / ".join(dict.fromkeys(_of_half(cfg, half) for half in ("encoder", "decoder")))


def _of_half(cfg: Mapping[str, Any], half: str) -> str:
    node, chosen = cfg[half].get("activation") or cfg["activation"], cfg.get("choices") or {}
    option = chosen.get(f"{half}.activation")
    if option is None and node == cfg["activation"]:
        option = chosen.get("activation")
    if option is None:
        return label(node)
    default = _option("activation", str(option))
    changed = {key: value for key, value in node.items() if default.get(key) != value}
    return _with_parameters(str(option), changed)


@cache
def _option(group: str, name: str) -> dict[str, Any]:
    """What one of our own options is; empty for a user's own."""
    file = configs_folder() / group / f"{name}.yaml"
    return dict(safe_load(file.read_text())) if name.isidentifier() and file.is_file() else {}


def build_option(group: str, name: str, key: str) -> Any:
    """What one of our own options describes, for those who use no config.

    Raises ConfigError, naming `key`, where the group has none of this name.
    """
    node = _option(group, name)
    if not node:
        known = sorted(file.stem for file in (configs_folder() / group).glob("*.yaml"))
        raise ConfigError(
            f"{key}={name!r}: no option of configs/{group} has this name. "
            f"{did_you_mean(name, known)}Its options are {', '.join(known)}"
        )
    return build(node, key)


def _switches(path: str) -> dict[str, Any]:
    """The defaults of a target's parameters that are true, false or 0."""
    try:
        parameters = inspect.signature(locate(path, "_target_")).parameters.values()
    except (ConfigError, TypeError, ValueError):
        return {}
    defaults = {p.name: p.default for p in parameters if isinstance(p.default, (bool, int, float))}
    return {name: value for name, value in defaults.items() if value is True or value == 0}


def targets(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping with a `_target_` at `key` or below, with its place in the config."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield key, node
        for name, inner in node.items():
            yield from targets(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(node, (list, tuple)):
        for number, inner in enumerate(node):
            yield from targets(inner, f"{key}[{number}]")


def faults(node: Any, key: str) -> Iterator[str]:
    """A line for each invalid `_target_`, unknown parameter and value of a wrong type."""
    for place, inner in targets(node, key):
        try:
            target = locate(inner["_target_"], f"{place}._target_")
        except ConfigError as error:
            yield str(error)
        else:
            yield from _parameter_faults(target, inner, place)


def takes(node: Mapping[str, Any], name: str) -> bool:
    """Whether what a node describes has a parameter of that name."""
    names = _parameters(locate(node["_target_"], "_target_"))
    return name in node if names is None else name in names


def locate(path: str, key: str) -> Any:
    """The class or function at a dotted path. Raises ConfigError naming `key` if there is none."""
    target = resolve(key, path)
    if not callable(target):
        raise ConfigError(f"{key}={path}: is a {type(target).__name__}, not a class or function")
    return target


def _parameter_faults(target: Any, node: Mapping[str, Any], key: str) -> Iterator[str]:
    names, hints = _parameters(target), _hints(target)
    for name, value in node.items():
        if name in _HYDRA_KEYS:
            continue
        if name == "_args_":
            yield f"{key}._args_: give the parameters by their names"
        elif names is not None and name not in names:
            yield (
                f"{key}.{name}: {node['_target_']} has no parameter of that name. "
                f"{did_you_mean(name, names)}It takes {', '.join(names)}"
            )
        elif name in hints and not fits(value, hints[name]):
            yield f"{key}.{name}={shown(value)}: must be {describe(hints[name])}"


def _parameters(target: Any) -> list[str] | None:
    """The names of the parameters a target takes by keyword; None if it takes any."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have no signature
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _hints(target: Any) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):  # annotations that cannot be evaluated
        return {}
