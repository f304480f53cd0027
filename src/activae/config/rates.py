"""`lr=` of a command: a learning rate, or a file of tuned ones, each for a run of its kind.

The file is the `tuned_lr.yaml` that a tuning leaves, or one written by hand: a line for each
activation, as `relu: 0.008`, or for each choice of several keys, as
`activation=relu encoder=conv: 0.004`. The rate is put at optimizer.lr: a run is the same run as
with it given there.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from shlex import split
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError, safe_load

from activae.config.names import key_of
from activae.config.program import training
from activae.config.wording import fits, shown
from activae.errors import ConfigError

KEY = "optimizer.lr"


def put_rate(config: DictConfig, hydra: Any) -> None:
    """Put what `lr` of a composed config means at optimizer.lr; `hydra`: what composed it.

    Raises ConfigError where both keys are given, and for a file that cannot be read or has no rate
    for what the config chooses.
    """
    given = config.lr
    if given is None:
        return
    both = [line for line in hydra.overrides.task if key_of(line).lstrip("+") == KEY]
    if both:
        raise ConfigError(f"lr={shown(given)} {both[0]}: are two learning rates; give one of them")
    rate = given if fits(given, float) else _rate(given, config, hydra.runtime.choices)
    with open_dict(config):
        config.optimizer.lr, config.lr = rate, None


def _rate(file: str, config: DictConfig, choices: DictConfig) -> float:
    rates = _read(file)
    fitting = [entry for entry in rates if _is_of(entry, config, choices)]
    if not fitting:
        option = choices.activation
        raise ConfigError(
            f"lr={file}: has no rate for activation={option}, only for {', '.join(rates)}. Write a "
            f"line {option}: RATE into it, or tune that activation too: {training()} -m "
            f"experiment=tune_lr activation={option}"
        )
    entry = max(fitting, key=lambda each: each.count("="))  # the one that says most
    rate = rates[entry]
    if rate is None:
        raise ConfigError(
            f"lr={file}: {entry}: null, because no rate that was tried trained it to an end; "
            "write a rate there, or leave that one out"
        )
    if not (fits(rate, float) and rate > 0 and isfinite(rate)):
        raise ConfigError(f"lr={file}: {entry}: {shown(rate)} must be a number greater than 0")
    return float(rate)


def _read(file: str) -> dict[str, Any]:
    if not isinstance(file, str):
        raise ConfigError(f"lr={shown(file)}: must be a learning rate, or a file of them")
    if not Path(file).is_file():
        raise ConfigError(
            f"lr={file}: is neither a number nor a file (looked in {Path.cwd()}); give a learning "
            "rate, or the tuned_lr.yaml of a sweep with experiment=tune_lr"
        )
    try:
        found = safe_load(Path(file).read_text(encoding="utf-8"))
    except (YAMLError, UnicodeError) as error:
        raise ConfigError(f"lr={file}: cannot be read as yaml: {error}") from error
    if not (isinstance(found, dict) and found):
        raise ConfigError(f"lr={file}: holds no rates; a line is an activation's, as relu: 0.008")
    return {str(entry): rate for entry, rate in found.items()}


def _is_of(entry: str, config: DictConfig, choices: DictConfig) -> bool:
    """Whether an entry is of what the config chooses: all that it names is so there."""
    if "=" not in entry:
        return entry == choices.activation
    named = (part.partition("=") for part in split(entry))
    return all(_is_chosen(key, value, config, choices) for key, _, value in named)


def _is_chosen(key: str, value: str, config: DictConfig, choices: DictConfig) -> bool:
    key = key.lstrip("+")
    if key in choices:
        return bool(str(choices[key]) == value)
    try:
        found = OmegaConf.select(config, key)
        return bool(found == safe_load(value) or str(found) == value)
    except (OmegaConfBaseException, YAMLError):
        return False
