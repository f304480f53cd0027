"""Optuna's samplers and pruners by the names that the config gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from activae.config.spelling import did_you_mean
from activae.errors import ConfigError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


def make_sampler(settings: Mapping[str, Any], number: int) -> BaseSampler:
    """The sampler that draws the trial of that number."""
    from optuna.samplers import RandomSampler, TPESampler

    settings = _named("sampler", settings)
    seed = settings.get("seed")
    if seed is not None and (type(seed) is not int or seed < 0):
        raise ConfigError(f"hydra.sweeper.sampler.seed={seed}: must be 0, 1, 2 ... or null")
    if seed is not None:
        seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    kinds = {"tpe": TPESampler, "random": RandomSampler}
    return _make("sampler", kinds, {**settings, "seed": seed})


def make_pruner(settings: Mapping[str, Any]) -> BasePruner:
    """The pruner by its name, with its parameters."""
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    kinds = {"none": NopPruner, "median": MedianPruner, "hyperband": HyperbandPruner}
    return _make("pruner", kinds, settings)


def _make(part: str, kinds: Mapping[str, Callable[..., Any]], settings: Any) -> Any:
    key = f"hydra.sweeper.{part}"
    settings = _named(part, settings)
    name, given = settings["name"], {k: v for k, v in settings.items() if k != "name"}
    if name not in kinds:
        raise ConfigError(
            f"{key}.name={name}: there is no such {part}. {did_you_mean(str(name), list(kinds))}"
            f"Choose one of {', '.join(kinds)}"
        )
    known = list(inspect.signature(kinds[name]).parameters)
    strange = [parameter for parameter in given if parameter not in known]
    if strange:
        raise ConfigError(f"{key}.{strange[0]}: {name} has {', '.join(known) or 'no parameters'}")
    try:
        return kinds[name](**given)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{key}: {error}") from error


def _named(part: str, settings: Any) -> Mapping[str, Any]:
    if not isinstance(settings, Mapping) or "name" not in settings:
        raise ConfigError(
            f"hydra.sweeper.{part}={settings}: is set with hydra.sweeper.{part}.name=NAME"
        )
    return settings
