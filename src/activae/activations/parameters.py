"""Checks of the numbers that shape an activation."""

from __future__ import annotations

import math

from activae.errors import ConfigError


def positive(name: str, value: float, formula: str) -> float:
    """Return the value of `activation.name`; ConfigError unless it is positive and finite."""
    if not 0 < value < math.inf:
        raise ConfigError(
            f"activation.{name}={value} makes no activation of {formula}: "
            "give a positive number, such as 1."
        )
    return value


def finite(name: str, value: float) -> float:
    """Return the value of `activation.name`; ConfigError if it is infinite or NaN."""
    if not math.isfinite(value):
        raise ConfigError(f"activation.{name}={value} is no number that f can be computed with.")
    return value
