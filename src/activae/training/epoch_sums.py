"""Means over an epoch, gathered where the values are; copies of nested tensors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from activae.config.devices import widest_float


class Sums:
    """Means of named values over samples, each weighted by its batch size, kept on the device.

    Of one run, or of K runs at once (`stacked`): then sums are [K], and so are the samples counted.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.samples = torch.tensor(0)

    @classmethod
    def stacked(cls, several: Sequence[Sums], device: torch.device) -> Sums:
        """The sums of K runs as one; 0 where a run has none of a name."""
        whole = cls()
        whole.samples = torch.stack([one.samples for one in several])
        kind = widest_float(device)
        zero = torch.zeros((), dtype=kind)
        for name in dict.fromkeys(name for one in several for name in one.sums):
            each = [one.sums.get(name, zero).to(device, kind) for one in several]
            whole.sums[name] = torch.stack(each)
        return whole

    def add(self, values: dict[str, Tensor], sizes: Sequence[int] | Tensor) -> None:
        """Add values [T] or [T, K] of T batches, whose sizes are [T], or [K] if always the same.

        Several at once spare the device a sum for each.
        """
        if not values:
            return
        sizes = torch.as_tensor(sizes)
        for name, each in values.items():
            weighted = each.to(widest_float(each.device)) * sizes.to(each.device)
            before = self.sums.get(name, torch.zeros_like(weighted[0])).to(weighted)
            # One after the other, so that it makes no difference where an interruption cut.
            self.sums[name] = torch.cat((before[None], weighted)).cumsum(0)[-1]
        steps = next(iter(values.values()))
        self.samples = self.samples + (sizes.sum(0) if steps.ndim == 1 else len(steps) * sizes)

    def take(self) -> dict[str, float]:
        """The means, in one transfer from the device; starts afresh."""
        means = torch.stack(list(self.sums.values())) / self.samples.to(self._device())
        named = dict(zip(self.sums, means.tolist(), strict=True))
        self.sums, self.samples = {}, torch.tensor(0)
        return named

    def take_from(self, places: Sequence[int]) -> list[dict[str, float]]:
        """The means of the runs in these places, who start afresh; waits for the device once."""
        where = list(places)
        sums = torch.stack(list(self.sums.values()))[:, where]
        rows = (sums / self.samples[where].to(self._device())).T.tolist()
        for values in (*self.sums.values(), self.samples):
            values[where] = 0
        return [dict(zip(self.sums, row, strict=True)) for row in rows]

    def of(self, place: int, names: Collection[str]) -> Sums:
        """Those of one of K runs, under these of the names."""
        own = Sums()
        own.samples = self.samples[place]
        if own.samples:
            own.sums = {name: sums[place] for name, sums in self.sums.items() if name in names}
        return own

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of them."""
        return {"sums": dict(self.sums), "samples": int(self.samples)}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what a checkpoint kept."""
        self.sums, self.samples = dict(state["sums"]), torch.tensor(state["samples"])

    def _device(self) -> torch.device:
        return next(iter(self.sums.values())).device


def clone_tensors(tree: Any) -> Any:
    """The same nesting of dicts and lists with every tensor copied."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, dict):
        return {key: clone_tensors(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [clone_tensors(value) for value in tree]
    return tree


def over_steps(taken: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The terms of several steps, [T] each."""
    names = taken[0] if taken else ()
    return {name: torch.stack([terms[name] for terms in taken]) for name in names}
