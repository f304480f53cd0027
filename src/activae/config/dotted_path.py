"""Finding the object that a dotted path names."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from activae.config.wording import did_you_mean
from activae.errors import ConfigError

# Packages that options of ours name, and the extra that installs each.
EXTRAS = {"pytorch_optimizer": "optimizers"}


def resolve(key: str, path: str) -> object:
    """Return what `path` (package.module.name) names; `key` is the config key it was given for.

    The longest importable prefix is imported; the rest are attributes of it, none of them a module:
    what a module merely imported has a path of its own. Raises ConfigError that says which part of
    the path failed, and what to do.
    """
    parts = path.split(".") if isinstance(path, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigError(
            f"{key}={path!r} is not a dotted path: name the module and the function in it, "
            "as in my_package.my_function."
        )
    module, names = _import_longest_prefix(key, path, parts)
    found: object = module
    for name in names:
        if isinstance(found, ModuleType) and found is not module:
            raise ConfigError(
                f"{key}={path!r} goes through the module {found.__name__!r} that another one "
                f"imported: write {found.__name__}.{name} instead."
            )
        if not hasattr(found, name):
            raise ConfigError(f"{key}={path!r}: {_missing_attribute(found, name)}")
        found = getattr(found, name)
    return found


def _import_longest_prefix(key: str, path: str, parts: list[str]) -> tuple[ModuleType, list[str]]:
    """Return the module, and the parts after it (at least the last)."""
    module: ModuleType | None = None
    for end in range(1, len(parts)):
        prefix = ".".join(parts[:end])
        try:
            module = importlib.import_module(prefix)
        except (Exception, SystemExit) as error:  # whatever a user's module raises
            if not (isinstance(error, ModuleNotFoundError) and error.name == prefix):
                raise ConfigError(
                    f"{key}={path!r}: importing {prefix} raised {type(error).__name__}: {error}"
                ) from error
            if module is None:
                raise ConfigError(f"{key}={path!r}: {_missing_module(prefix)}") from None
            return module, parts[end - 1 :]
    assert module is not None, "a path has two parts or more"
    return module, parts[-1:]


def _missing_module(name: str) -> str:
    if name in EXTRAS:
        return f"needs {name}: pip install 'activae[{EXTRAS[name]}]'"
    return (
        f"no module {name!r}, neither installed nor beside train.py nor in {Path.cwd()}. "
        f"Put {name}.py there, install its package, or set PYTHONPATH to the folder that holds it."
    )


def _missing_attribute(owner: object, name: str) -> str:
    known = dir(owner)
    if isinstance(owner, ModuleType):
        known += [found.name for found in pkgutil.iter_modules(getattr(owner, "__path__", []))]
    guess = did_you_mean(name, known)
    return f"{getattr(owner, '__name__', owner)} has no {name!r}. {guess}".rstrip()
