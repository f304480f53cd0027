"""Learning-rate schedules as functions of the step: the factor by which lr is multiplied.

Each takes (step, total_steps), step counting from 0, and returns a factor in [0, 1]. Those that are
pure need no state in a checkpoint, and a table of them serves many stacked runs. An `Adaptive` one
is told the validation error at the end of each epoch, and each run has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import cos, pi
from typing import Any, Protocol, runtime_checkable

from activae.errors import ConfigError

Schedule = Callable[[int, int], float]


@runtime_checkable
class Adaptive(Protocol):
    """A schedule that goes by what training achieves; its state belongs into a checkpoint."""

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor at any step up to the next that has not been observed."""

    def observe(self, error: float, step: int) -> None:
        """Take note of an epoch's squared error on val; `step` is the first of the next epoch."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from: numbers and lists of them."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


def make_schedule(built: Schedule) -> Schedule:
    """The schedule of one run: a function as it is, an object made of its class."""
    is_class = isinstance(built, partial) and isinstance(built.func, type)
    return built() if is_class else built  # type: ignore[call-arg, return-value]


def constant(step: int, total_steps: int, *, warmup: float = 0.0) -> float:
    """Rise linearly to 1 during the first `warmup` share of the steps, then stay there."""
    return _linear_warmup(step, total_steps, warmup)


def cosine(step: int, total_steps: int, *, warmup: float = 0.0, final: float = 0.0) -> float:
    """Warm up linearly, then fall along half a cosine to `final` (Loshchilov & Hutter 2017)."""
    _check_share("scheduler.final", final)
    rising = _linear_warmup(step, total_steps, warmup)
    if rising < 1.0:
        return rising
    warm = round(warmup * total_steps)
    return _half_cosine(1.0, final, (step - warm) / max(1, total_steps - 1 - warm))


def onecycle(
    step: int,
    total_steps: int,
    *,
    warmup: float = 0.3,
    div: float = 25.0,
    final_div: float = 1e4,
) -> float:
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


def step_decay(
    step: int, total_steps: int, *, warmup: float, gamma: float, milestones: Sequence[float]
) -> float:
    """Multiply by gamma at each milestone, a share of all steps, after a linear warm-up."""
    if not 0 < gamma <= 1:
        raise ConfigError(f"scheduler.gamma={gamma}: must be greater than 0 and at most 1")
    if not all(0 < share < 1 for share in milestones):
        raise ConfigError(
            f"scheduler.milestones={list(milestones)}: must be shares of the run, each greater "
            "than 0 and less than 1, as in [0.5,0.75]"
        )
    passed = sum(step >= round(share * total_steps) for share in milestones)
    return gamma**passed * _linear_warmup(step, total_steps, warmup)


class Plateau:
    """Multiply by `factor` whenever SE/val has not improved for more than `patience` epochs.

    As torch.optim.lr_scheduler.ReduceLROnPlateau has it: an epoch is an improvement where its SE
    lies below the best by more than the share `threshold`, and none is counted during `cooldown`
    epochs after a reduction. The factor never falls below `min_factor`. Raises ConfigError for
    values out of range.

    The steps of the reductions are kept, so that the factor of any step in the past is known too.
    """

    def __init__(
        self, *, factor: float, patience: int, threshold: float, cooldown: int, min_factor: float
    ) -> None:
        for key, value, wanted, fine in (
            ("factor", factor, "be greater than 0 and less than 1", 0 < factor < 1),
            ("patience", patience, "be 0 or a positive number of epochs", patience >= 0),
            ("threshold", threshold, "be at least 0 and less than 1", 0 <= threshold < 1),
            ("cooldown", cooldown, "be 0 or a positive number of epochs", cooldown >= 0),
            ("min_factor", min_factor, "lie between 0 and 1", 0 <= min_factor <= 1),
        ):
            if not fine:
                raise ConfigError(f"scheduler.{key}={value}: must {wanted}")
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.cooldown = cooldown
        self.min_factor = min_factor
        self.best = float("inf")
        self.epochs_without = 0
        self.epochs_to_rest = 0
        self.reduced_at: list[int] = []

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor that holds, or held, at a step."""
        times = sum(step >= reduced for reduced in self.reduced_at)
        return max(self.factor**times, self.min_factor)

    def observe(self, error: float, step: int) -> None:
        """Count the epoch that ended before `step`, and reduce the factor from there on if due."""
        self.epochs_without += 1
        if error < self.best * (1 - self.threshold):
            self.best, self.epochs_without = error, 0
        if self.epochs_to_rest:
            self.epochs_to_rest -= 1
            self.epochs_without = 0
        if self.epochs_without > self.patience:
            self.reduced_at.append(step)
            self.epochs_without, self.epochs_to_rest = 0, self.cooldown

    def state_dict(self) -> dict[str, Any]:
        """What has been observed so far."""
        return {
            "best": self.best,
            "epochs_without": self.epochs_without,
            "epochs_to_rest": self.epochs_to_rest,
            "reduced_at": list(self.reduced_at),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what had been observed."""
        self.best = state["best"]
        self.epochs_without = state["epochs_without"]
        self.epochs_to_rest = state["epochs_to_rest"]
        self.reduced_at = list(state["reduced_at"])


def _linear_warmup(step: int, total_steps: int, warmup: float) -> float:
    _check_share("scheduler.warmup", warmup)
    warm = round(warmup * total_steps)
    return 1.0 if step >= warm else (step + 1) / (warm + 1)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + cos(pi * min(1.0, share))) / 2


def _check_share(key: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{key}={value}: must lie between 0 and 1")
