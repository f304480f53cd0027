"""From a composed config to one that says everything and can work: filled in, resolved, checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from activae.errors import ConfigError
from activae.schema import TrainConfig

PRECISIONS = ("32-true", "bf16-mixed", "64-true")
ACCELERATORS = ("auto", "cpu", "gpu")
NORMALISATIONS = ("unit_range", "standardise", "none")


def settle(composed: DictConfig) -> DictConfig:
    """The config with every interpolation resolved and every default filled in, checked, read-only.

    Raises ConfigError that names each key at fault, its value and what it may be.
    """
    try:
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(
            f"{error.full_key or error.msg}: needs a value; give {error.full_key}=VALUE"
        ) from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {error.msg}") from error
    assert isinstance(values, dict)
    for half in ("encoder", "decoder"):
        if "activation" in values[half] and values[half]["activation"] is None:
            values[half]["activation"] = values["activation"]
    settled = OmegaConf.merge(OmegaConf.structured(TrainConfig), values)
    assert isinstance(settled, DictConfig)
    problems = list(_problems(settled))
    if problems:
        raise ConfigError("\n".join(problems))
    OmegaConf.set_readonly(settled, True)
    return settled


def container(node: Any) -> Any:
    """A node as plain dicts, lists and scalars."""
    return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node


def _problems(cfg: DictConfig) -> Iterator[str]:
    """A line for each value that is out of range."""
    for key, wanted, accepts in _RANGES:
        value = OmegaConf.select(cfg, key)
        if value is not None and not accepts(value):
            yield f"{key}={value}: must be {wanted}"
    lr = cfg.optimizer.get("lr")
    if lr is not None and not (_is_number(lr) and lr > 0 and isfinite(lr)):
        yield f"optimizer.lr={lr}: must be a number greater than 0"
    decay = cfg.optimizer.get("weight_decay")
    if decay is not None and not (_is_number(decay) and 0 <= decay < float("inf")):
        yield f"optimizer.weight_decay={decay}: must be 0 or a positive number"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _one_of(choices: tuple[str, ...]) -> tuple[str, Callable[[Any], bool]]:
    return f"one of {', '.join(choices)}", lambda value: value in choices


_SEED = ("a whole number from 0 to 2**63 - 1", lambda v: 0 <= v < 2**63)
_POSITIVE_INT = ("a whole number of 1 or more", lambda v: v >= 1)
_NOT_NEGATIVE = ("a whole number of 0 or more", lambda v: v >= 0)
_POSITIVE = ("a number greater than 0", lambda v: isfinite(v) and v > 0)
_SHARE = ("greater than 0 and less than 1", lambda v: 0 < v < 1)
_WHOLE_SHARE = ("greater than 0 and at most 1", lambda v: 0 < v <= 1)

_RANGES: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("seed", *_SEED),
    ("data.split_seed", *_SEED),
    ("encoding.dim", *_POSITIVE_INT),
    ("data.batch_size", *_POSITIVE_INT),
    ("data.train_fraction", *_WHOLE_SHARE),
    ("data.val_fraction", *_SHARE),
    ("data.test_fraction", *_SHARE),
    ("data.normalisation", *_one_of(NORMALISATIONS)),
    ("trainer.max_epochs", *_POSITIVE_INT),
    ("trainer.max_steps", *_POSITIVE_INT),
    ("trainer.gradient_clip_val", *_POSITIVE),
    ("trainer.early_stopping_patience", *_POSITIVE_INT),
    ("trainer.threads", *_POSITIVE_INT),
    ("trainer.accelerator", *_one_of(ACCELERATORS)),
    ("trainer.precision", *_one_of(PRECISIONS)),
    ("logger.snapshots", *_NOT_NEGATIVE),
    ("logger.images", *_NOT_NEGATIVE),
    ("logger.projector_samples", *_NOT_NEGATIVE),
]
