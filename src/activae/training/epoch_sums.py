"""Means over an epoch, gathered where the values are; copies of nested tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Sums:
    """Means of named values over samples, each weighted by its batch size, kept on the device."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.samples = 0

    def add(self, batches: Sequence[dict[str, Tensor]], sizes: Sequence[int]) -> None:
        """Add the values of several batches at once, which spares the device a sum for each."""
        for name in batches[0] if batches else ():
            values = torch.stack([batch[name] for batch in batches]).double()
            weighted = values * torch.tensor(sizes, device=values.device)
            before = self.sums.get(name, weighted.new_zeros(())).to(weighted.device)
            # One after the other, so that it makes no difference where an interruption cut.
            self.sums[name] = torch.cat((before[None], weighted)).cumsum(0)[-1]
        self.samples += sum(sizes)

    def take(self) -> dict[str, float]:
        """The means, in one transfer from the device; starts afresh."""
        means = torch.stack(list(self.sums.values())) / self.samples
        named = dict(zip(self.sums, means.tolist(), strict=True))
        self.sums, self.samples = {}, 0
        return named

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of them."""
        return {"sums": dict(self.sums), "samples": self.samples}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.sums, self.samples = dict(state["sums"]), state["samples"]


def clone_tensors(tree: Any) -> Any:
    """The same nesting of dicts and lists with every tensor copied."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, dict):
        return {key: clone_tensors(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [clone_tensors(value) for value in tree]
    return tree
