"""Turns config nodes into objects: the one place that calls Hydra's `instantiate`.

A node names a `_target_`; its other keys are that target's keyword parameters. Both are checked
before anything is called, so that a misspelt key is an error that lists the right ones.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from activae.dotted_path import resolve
from activae.errors import ConfigError, UserError

# What the config of a run folder may name without the user saying so: opening a run runs no code
# that came with it.
TRUSTED_MODULES = ("activae", "torch.nn", "torch.optim", "torch.special")
_HYDRA_KEYS = {"_target_", "_partial_", "_args_", "_convert_", "_recursive_"}


def build(node: Any, key: str) -> Any:
    """The object or factory that a config node describes.

    `key` is where the node stands in the config, for errors. Raises ConfigError for a `_target_`
    that cannot be imported, a key it does not take, a value of the wrong type, or one it refuses.
    """
    for place, inner in _targets(node, key):
        _check_node(inner, place)
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        raise ConfigError(f"{key}: {_describe(node)} was refused: {cause or error}") from error


def call(factory: Callable[..., Any], key: str, *args: Any, **kwargs: Any) -> Any:
    """Call a factory that `build` made; what it refuses becomes a ConfigError that names the key."""
    try:
        return factory(*args, **kwargs)
    except UserError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{key}: {error}") from error


def refuse_untrusted(config: Mapping[str, Any], trusted: Sequence[str]) -> None:
    """Raise ConfigError for any `_target_` or function path outside the allow-list of modules."""
    allowed = (*TRUSTED_MODULES, *trusted)
    for place, node in _targets(config, ""):
        for name in ("_target_", "function"):
            path = node.get(name)
            if isinstance(path, str) and not _trusted(path, allowed):
                raise ConfigError(
                    f"{place}.{name}={path}: a run folder's config may name only "
                    f"{', '.join(allowed)}; if you trust it, add "
                    f"'trusted_modules=[{path.split('.')[0]}]'"
                )


def label(node: Any) -> str:
    """A short name for what a node builds, with the parameters set in it: LeakyReLU(negative_slope=0.2)."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return "linear" if node is None else str(node)
    return _describe(node)


def _describe(node: Any) -> str:
    parameters = ", ".join(
        f"{key}={value}"
        for key, value in node.items()
        if key not in _HYDRA_KEYS and value not in (None, {}) and not isinstance(value, Mapping)
    )
    name = str(node["_target_"]).rsplit(".", 1)[-1]
    return f"{name}({parameters})" if parameters else name


def _targets(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping with a `_target_`, with its place in the config."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield key, node
        for name, inner in node.items():
            yield from _targets(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(node, (list, tuple)):
        for number, inner in enumerate(node):
            yield from _targets(inner, f"{key}[{number}]")


def _check_node(node: Mapping[str, Any], key: str) -> None:
    target = locate(node["_target_"], f"{key}._target_")
    parameters = _parameters(target)
    hints = _hints(target)
    for name, value in node.items():
        if name in _HYDRA_KEYS:
            continue
        if parameters is not None and name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            guess = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"{key}.{name}: {node['_target_']} has no such parameter; {guess}"
                f"it takes {', '.join(parameters)}"
            )
        _check_type(value, hints.get(name), f"{key}.{name}")


def locate(path: str, key: str) -> Any:
    """The class or function at a dotted path. Raises ConfigError naming `key` if there is none."""
    target = resolve(key, path)
    if not callable(target):
        raise ConfigError(f"{key}={path}: is a {type(target).__name__}, not a class or function")
    return target


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


def _check_type(value: Any, hint: Any, key: str) -> None:
    """Refuse text where a number belongs, and the like; only plain scalar annotations are checked."""
    accepted = {int: (int,), float: (int, float), bool: (bool,), str: (str,), type(None): ()}
    choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None or not all(isinstance(c, type) and c in accepted for c in choices):
        return
    kinds = tuple(kind for choice in choices for kind in accepted[choice])
    if isinstance(value, bool) and bool not in kinds or not isinstance(value, kinds):
        wanted = " or ".join(choice.__name__ for choice in choices if choice is not type(None))
        raise ConfigError(f"{key}={value!r}: must be {wanted}, not {type(value).__name__}")


def _trusted(path: str, allowed: Sequence[str]) -> bool:
    """Whether the path lies in the allow-list, and so does the module that defines the object."""
    if not _inside(path, allowed):
        return False
    defined_in = getattr(locate(path, "_target_"), "__module__", None) or path
    return _inside(defined_in, allowed)


def _inside(path: str, modules: Sequence[str]) -> bool:
    return any(path == module or path.startswith(f"{module}.") for module in modules)
