"""Learning-rate schedules as pure functions of the step: the factor by which lr is multiplied.

Each takes (step, total_steps), step counting from 0, and returns a factor in [0, 1]. Being pure
they need no state in a checkpoint, and a table of them serves many stacked runs.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi

from activae.errors import ConfigError

Schedule = Callable[[int, int], float]


def constant(step: int, total_steps: int, *, warmup: float) -> float:
    """Rise linearly to 1 during the first `warmup` share of the steps, then stay there."""
    return _linear_warmup(step, total_steps, warmup)


def cosine(step: int, total_steps: int, *, warmup: float, final: float) -> float:
    """Warm up linearly, then fall along half a cosine to `final` (Loshchilov & Hutter 2017)."""
    _check_share("scheduler.final", final)
    rising = _linear_warmup(step, total_steps, warmup)
    if rising < 1.0:
        return rising
    warm = round(warmup * total_steps)
    return _half_cosine(1.0, final, (step - warm) / max(1, total_steps - 1 - warm))


def onecycle(step: int, total_steps: int, *, warmup: float, div: float, final_div: float) -> float:
    """Rise from 1/div to 1, then fall to 1/final_div, along half cosines (Smith & Topin 2019).

    `final_div` counts from the peak. Momentum is not cycled.
    """
    _check_share("scheduler.warmup", warmup)
    for key, value in (("scheduler.div", div), ("scheduler.final_div", final_div)):
        if not value >= 1:
            raise ConfigError(f"{key}={value}: must be 1 or more")
    peak = round(warmup * total_steps)
    if step < peak:
        return _half_cosine(1 / div, 1.0, step / peak)
    return _half_cosine(1.0, 1 / final_div, (step - peak) / max(1, total_steps - 1 - peak))


def _linear_warmup(step: int, total_steps: int, warmup: float) -> float:
    _check_share("scheduler.warmup", warmup)
    warm = round(warmup * total_steps)
    return 1.0 if step >= warm else (step + 1) / (warm + 1)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + cos(pi * min(1.0, share))) / 2


def _check_share(key: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{key}={value}: must lie between 0 and 1")
