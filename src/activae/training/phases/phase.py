"""A part of a run, in which some parameters train by one loss."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.declared import Objective


@dataclass(frozen=True)
class Phase:
    """Steps `start` (counted from 0) up to, not including, `end`.

    trains: prefixes of the names of the parameters that train, the others being frozen; objective:
    the loss in the place of the run's own, None for that.
    """

    name: str
    start: int
    end: int
    trains: tuple[str, ...] = ("",)
    objective: Objective | None = None

    @property
    def steps(self) -> int:
        """How many they are."""
        return self.end - self.start

    def freeze(self, net: Autoencoder, frozen: Collection[str] = ()) -> None:
        """Let the parameters of this phase train, and no others.

        frozen: the names of those that the network's author froze, which no phase trains. Raises
        ConfigError where that leaves none.
        """
        for name, parameter in net.named_parameters():
            trains = name.startswith(self.trains) and name not in frozen
            parameter.requires_grad_(trains)
        if frozen and not any(parameter.requires_grad for parameter in net.parameters()):
            raise ConfigError(
                f"phases: nothing trains in the phase {self.name}, because the network froze all "
                "parameters of it (requires_grad=False); let some train, or choose other phases"
            )


def boundaries(shares: Sequence[float], total_steps: int, way: str) -> list[tuple[int, int]]:
    """Start and end of consecutive phases with these shares of the steps, each of one step or more.

    Raises ConfigError where there are fewer steps than phases.
    """
    if total_steps < len(shares):
        raise ConfigError(
            f"phases={way}: has {len(shares)} phases, and the run takes {total_steps} step(s); "
            "raise trainer.max_epochs or trainer.max_steps"
        )
    ends = [round(share * total_steps) for share in accumulate(shares)]
    ends[-1] = total_steps
    for place in range(len(ends)):  # room for those before, and for those after
        ends[place] = min(max(ends[place], place + 1), total_steps - (len(ends) - 1 - place))
    return list(pairwise([0, *ends]))


def check_share(key: str, share: float) -> None:
    """Raise ConfigError unless it lies between 0 and 1."""
    if not 0 < share < 1:
        raise ConfigError(f"phases.{key}={share}: must be greater than 0 and less than 1")
