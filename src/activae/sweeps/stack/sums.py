"""The means of an epoch's losses, of K members at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from activae.objectives import Objective
from activae.sweeps.stack.loss import PENALTIES, Terms, penalty, unregularised
from activae.training.module import AutoencoderModule, Row


class StackedSums:
    """The epoch's sums of all members, as `activae.training.epoch_sums.Sums` keeps them for one."""

    def __init__(self, models: Sequence[AutoencoderModule], device: torch.device) -> None:
        self.models = models
        self.device = device
        self.samples = [model.epoch_sums.samples for model in models]
        states = [model.epoch_sums.sums for model in models]
        zero = torch.zeros((), dtype=torch.float64)
        self.sums = {
            name: torch.stack([state.get(name, zero).to(device) for state in states])
            for name in dict.fromkeys(name for state in states for name in state)
        }

    def add(self, terms: Terms, sizes: Tensor) -> None:
        """Add terms [T, K], each step's a mean over sizes [K] samples."""
        steps = len(next(iter(terms.values())))
        for name, values in terms.items():
            weighted = values.double() * sizes.to(self.device)
            before = self.sums.get(name, torch.zeros_like(weighted[0]))
            # One after the other, so that it makes no difference where an interruption cut.
            self.sums[name] = torch.cat((before[None], weighted)).cumsum(0)[-1]
        self.samples = [
            before + steps * size for before, size in zip(self.samples, sizes.tolist(), strict=True)
        ]

    def take(self, places: Sequence[int]) -> list[Row]:
        """The means of the members in these places, who start afresh; waits for the device once."""
        values = torch.stack(list(self.sums.values()))[:, list(places)].T.tolist()
        rows = []
        for place, row in zip(places, values, strict=True):
            named = zip(self.sums, row, strict=True)
            absent = self._absent(place)
            rows.append({n: v / self.samples[place] for n, v in named if n not in absent})
            self.samples[place] = 0
        for sums in self.sums.values():
            sums[list(places)] = 0
        return rows

    def sync(self, place: int) -> None:
        """Let the model in this place hold its own sums."""
        absent = self._absent(place)
        sums = {name: value[place] for name, value in self.sums.items() if name not in absent}
        samples = self.samples[place]
        self.models[place].epoch_sums.load({"sums": sums if samples else {}, "samples": samples})

    def _absent(self, place: int) -> set[str]:
        """The penalties that only other members have."""
        objective = self.models[place].objective
        if type(unregularised(objective)) is not Objective:
            return set()
        return {name for name in PENALTIES if not penalty(objective, name)}
