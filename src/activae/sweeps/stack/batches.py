"""Which samples every member of a stack sees in the next steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from activae.data.layout import EpochOrder
from activae.data.module import STEPS_PER_CHUNK
from activae.objectives.batch import Batch, stacked
from activae.training.module import AutoencoderModule
from activae.training.schedules import Adaptive, Schedule

OrderKey = tuple[int, int, EpochOrder]  # seed, epoch, and how a data set's epochs are ordered


@dataclass(frozen=True)
class Batches:
    """Batches of one length n, for the same members at each step of a chunk.

    rows: the members' places in the stack [k], None for all of them in order; models: theirs;
    sources: training samples and indices into them [T, k', n], in the order of the rows.
    """

    rows: Tensor | None
    models: Sequence[AutoencoderModule]
    sources: list[tuple[Tensor, Tensor]]

    def at(self, step: int) -> Batch:
        """The batches of one of the chunk's steps, of samples [k, n, *shape]."""
        parts = [samples[index[step]] for samples, index in self.sources]
        x = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.models[0].noise is None and self.models[0].data.intensities is None:
            return x
        return stacked(
            [
                model.training_batch(model.data.drawn(its, model.step + step), model.step + step)
                for model, its in zip(self.models, x, strict=True)
            ]
        )


@dataclass(frozen=True)
class Chunk:
    """Some consecutive steps of a stack, up to where the first of its members ends an epoch.

    length: T, the number of steps; groups: members by the length of their batches, which is one
    group except where some have a short last batch; sizes: [K], the batch length of each; factors:
    what lr is multiplied by, float64 [T, K]; steps: the numbers of the steps, float64 [T, K].
    """

    length: int
    groups: list[Batches]
    sizes: Tensor
    factors: Tensor
    steps: Tensor


class Timetable:
    """Plans chunks for members, who must be sorted such that those sharing samples are neighbours.

    Batch orders and schedules that members have in common are computed once.
    """

    def __init__(self) -> None:
        self.orders: dict[OrderKey, Tensor] = {}
        self.factors: dict[Any, Tensor] = {}

    def next_chunk(self, models: Sequence[AutoencoderModule]) -> Chunk:
        """The members' next steps: as many as all can take with batches of one length each."""
        self._drop_orders_but([_order_key(model) for model in models])
        coming = [_next_batches(model) for model in models]
        length = min(STEPS_PER_CHUNK, *(steps for steps, _ in coming))
        sizes = [size for _, size in coming]
        steps = torch.tensor([model.step for model in models], dtype=torch.float64)
        return Chunk(
            length,
            [self._batches(models, sizes, size, length) for size in sorted(set(sizes))],
            torch.tensor(sizes),
            torch.stack([self._factors(model, length) for model in models], dim=1),
            steps + torch.arange(length, dtype=torch.float64)[:, None],
        )

    def _batches(
        self, models: Sequence[AutoencoderModule], sizes: list[int], size: int, length: int
    ) -> Batches:
        rows = [row for row, its in enumerate(sizes) if its == size]
        sources = []
        for _, together in groupby(rows, key=lambda row: id(models[row].data.samples["train"])):
            members = [models[row] for row in together]
            samples = members[0].data.gathered
            assert isinstance(samples, Tensor), "those that stay on disk are not stacked"
            index = torch.stack([self._indices(model, size, length) for model in members], dim=1)
            sources.append((samples, index.to(samples.device, non_blocking=True)))
        device = sources[0][0].device
        everyone = len(rows) == len(models)
        places = None if everyone else torch.tensor(rows, device=device)
        return Batches(places, [models[row] for row in rows], sources)

    def _indices(self, model: AutoencoderModule, size: int, length: int) -> Tensor:
        """[T, n] on the CPU."""
        key = _order_key(model)
        if key not in self.orders:
            self.orders[key] = model.data.order.positions(*key[:2])
        start = model.step % model.data.steps_per_epoch * model.data.batch_size
        return self.orders[key][start : start + length * size].view(length, size)

    def _factors(self, model: AutoencoderModule, length: int) -> Tensor:
        if isinstance(model.schedule, Adaptive):  # of this chunk's steps alone: no epoch ends here
            steps = range(model.step, model.step + length)
            coming = [model.schedule(step, model.total_steps) for step in steps]
            return torch.tensor(coming, dtype=torch.float64)
        key = _schedule_key(model.schedule), model.total_steps
        if key not in self.factors:
            table = [model.schedule(step, model.total_steps) for step in range(model.total_steps)]
            self.factors[key] = torch.tensor(table, dtype=torch.float64)
        return self.factors[key][model.step : model.step + length]

    def _drop_orders_but(self, keys: list[OrderKey]) -> None:
        wanted = set(keys)
        self.orders = {key: order for key, order in self.orders.items() if key in wanted}


def _next_batches(model: AutoencoderModule) -> tuple[int, int]:
    """How many batches of which length come next, in this epoch."""
    data = model.data
    position = model.step % data.steps_per_epoch
    left = len(data.samples["train"]) - position * data.batch_size
    epoch = data.steps_per_epoch - position
    whole = min(left // data.batch_size, epoch, model.total_steps - model.step)
    return (whole, data.batch_size) if whole else (1, left)


def _order_key(model: AutoencoderModule) -> OrderKey:
    data = model.data
    return data.seed, model.step // data.steps_per_epoch, data.order


def _schedule_key(schedule: Schedule) -> Any:
    if isinstance(schedule, partial):
        return schedule.func, schedule.args, repr(sorted(schedule.keywords.items()))
    return id(schedule)
