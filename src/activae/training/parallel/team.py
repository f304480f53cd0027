"""The ranks of a run, as one of them sees them: its share of a batch, and sums over all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import torch
from torch import Tensor, distributed, nn

from activae.objectives.batch import Batch, rows_of, samples_of


class RankLost(Exception):
    """Another rank is no longer there to compute with."""


@dataclass(frozen=True)
class Team:
    """One of `size` ranks; `stop_asked` is set in any of them to stop all."""

    rank: int
    size: int
    device: torch.device
    stop_asked: Event = field(default_factory=Event)

    @contextmanager
    def gathered(self, meeting: Path) -> Iterator[None]:
        """Meet the others, by means of a file that all can reach, and part from them."""
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            torch.cuda.set_device(self.device)
        elif sys.platform == "linux":
            # All are on this machine; some machines cannot look up their own name, as gloo would.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            init_method=f"file://{meeting}",
            rank=self.rank,
            world_size=self.size,
        )
        yield
        distributed.destroy_process_group()  # not after an error: the others may be gone

    def share(self, batch: Batch) -> tuple[Batch, float]:
        """This rank's consecutive samples of a batch, and what part of the batch they are.

        A rank that a batch is too small for gets a sample of weight 0.
        """
        count = len(samples_of(batch))
        start, end = (count * rank // self.size for rank in (self.rank, self.rank + 1))
        first = min(start, count - 1)
        return rows_of(batch, first, max(end, first + 1)), (end - start) / count

    def add_up(self, values: Tensor) -> None:
        """Put the sum over the ranks into every rank's `values`. Raises RankLost."""
        try:
            distributed.all_reduce(values)
        except RuntimeError as error:
            raise RankLost(str(error)) from error

    def summed(self, figures: Sequence[dict[str, float]]) -> list[dict[str, float]]:
        """Figures summed over the ranks, the same in all: what ends a run early ends every rank."""
        flat = [value for each in figures for value in each.values()]
        values = torch.tensor(flat, dtype=torch.float64, device=self.device)
        self.add_up(values)
        sums = iter(values.tolist())
        return [{name: next(sums) for name in each} for each in figures]

    def assert_same_weights(self, net: nn.Module) -> None:
        """An invariant: every rank has taken the same steps, to the last bit."""
        mine = nn.utils.parameters_to_vector(net.parameters()).detach()
        first = mine.clone()
        distributed.broadcast(first, src=0)
        assert torch.equal(mine, first), f"the weights of rank {self.rank} differ from the first's"
