"""An activation by the name of its option in configs/activation, for those who use no config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from activae import activations
from activae.config.instantiating import call
from activae.config.wording import did_you_mean
from activae.errors import ConfigError

_CLASS = "give what makes an nn.Module without further arguments: a class, such as torch.nn.GELU"


def activation_factory(chosen: Any) -> Callable[[], nn.Module]:
    """What makes the modules of an activation, given by its option's name or as such a function.

    Names are those of the classes in words, as configs/activation has them. Raises ConfigError.
    """
    if isinstance(chosen, nn.Module):
        raise ConfigError(
            f"activation: {chosen} is a module, and each layer needs one of its own; give what "
            f"makes them: the class, {type(chosen).__name__}, or partial of it with its parameters"
        )
    if callable(chosen):
        name = getattr(chosen, "__name__", chosen)
        try:
            made = chosen()
        except TypeError as error:
            raise ConfigError(f"activation={name}: {error}; {_CLASS}") from error
        if not isinstance(made, nn.Module):
            raise ConfigError(f"activation={name}: makes a {type(made).__name__}; {_CLASS}")
        return chosen
    known = {"identity": nn.Identity}
    for home in (nn.modules.activation, activations):
        known |= {_plain(name): getattr(home, name) for name in home.__all__}
    kind = known.get(_plain(chosen)) if isinstance(chosen, str) else None
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ConfigError(
            f"activation={chosen!r}: no activation has this name. "
            f"{did_you_mean(str(chosen), ('identity', *map(str, known)))}Give one of "
            'configs/activation, such as "relu" or "leaky_relu", or a class'
        )
    call(kind, f"activation={chosen}")  # refuses one that takes parameters
    return kind


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
