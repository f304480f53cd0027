"""What the config of a run folder may name: opening a run runs no code that came with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from activae.config.instantiating import locate, targets
from activae.errors import ConfigError

# Classes and functions made to be named by a config, not all of activae: what finds and calls other
# objects by their path must stay out of reach.
TRUSTED_MODULES = (
    "activae.activations",
    "activae.data",
    "activae.models",
    "activae.objectives",
    "activae.training.loggers.Csv",
    "activae.training.phases",
    "activae.training.schedules",
    "pytorch_optimizer.Lion",
    "torch.nn",
    "torch.optim",
    "torch.special",
)
# Inside them, but made to call other objects with what they are given.
_CALLING = ("activae.objectives.declared",)
# Where Csv, Lion and functions of torch.nn.functional and torch.special say they are defined.
_DEFINED_IN = (
    "activae.training.loggers",
    "pytorch_optimizer.optimizer.lion",
    "torch._C._nn",
    "torch._C._special",
)


def refuse_untrusted(config: Mapping[str, Any], trusted: Sequence[str]) -> None:
    """Raise ConfigError for the first object the config names outside the allow-list of modules."""
    for key, path in untrusted(config, trusted):
        modules = [*trusted, path.split(".")[0]]
        raise ConfigError(
            f"{key}={path}: the config of a run folder may name only what is in "
            f"{', '.join((*TRUSTED_MODULES, *trusted))}; if you trust it, add "
            f"'trusted_modules=[{','.join(modules)}]' (in Python trusted={modules}, of a verb "
            f"--trusted {','.join(modules)})"
        )


def untrusted(config: Mapping[str, Any], trusted: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Key and dotted path of every object the config names outside the allow-list of modules."""
    for place, node in targets(config, ""):
        for name in ("_target_", "function"):
            path = node.get(name)
            if isinstance(path, str) and not (_is_inside(path, trusted) or _is_ours(path)):
                yield f"{place}.{name}", path


def trusting(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The argument that names the modules that configs of the user's own need, if they need any."""
    modules = {path.split(".")[0] for config in configs for _, path in untrusted(config, ())}
    return [f"'trusted_modules=[{','.join(sorted(modules))}]'"] if modules else []


def _is_ours(path: str) -> bool:
    """Whether the path lies in the allow-list, and so does the module that defines the object."""
    is_public = not any(part.startswith("_") for part in path.split("."))
    if not is_public or not _is_inside(path, TRUSTED_MODULES) or _is_inside(path, _CALLING):
        return False
    defined_in = getattr(locate(path, "_target_"), "__module__", None) or path
    return not _is_inside(defined_in, _CALLING) and _is_inside(
        defined_in, (*TRUSTED_MODULES, *_DEFINED_IN)
    )


def _is_inside(path: str, modules: Sequence[str]) -> bool:
    return any(path == module or path.startswith(f"{module}.") for module in modules)
