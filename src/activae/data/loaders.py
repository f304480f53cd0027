"""What Lightning's Trainer iterates over: batches of samples, or chunks of indices of many batches.

A plain Trainer is given samples, a batch at a time. The project's own fit takes many steps a call:
its loaders choose samples, and the LightningModule picks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from activae.data.normalisation import Samples
from activae.data.on_disk.rows import DiskSamples, RawRows
from activae.errors import ConfigError, DataError

if TYPE_CHECKING:
    from activae.data.module import AutoencoderDataModule

EVALUATION_ROWS = 4096

Chunk = Tensor | RawRows


class TrainingBatches:
    """The batches [B, *shape] of the epoch that the Trainer is in, from the one that is next.

    A Trainer that goes on from a checkpoint within an epoch so meets the batches that are left.
    With `overfit_batches` every epoch is the first.
    """

    def __init__(self, data: AutoencoderDataModule, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:
            raise ConfigError(
                f"pl.Trainer: has {trainer.world_size} devices, and each would train on the same "
                "batches; give it devices=1, or train on several with train.py trainer.devices="
                f"{trainer.world_size}"
            )
        self.data = data
        self.trainer: Any = trainer

    @property
    def dataset(self) -> Samples:
        """What the batches are of: a Tuner tries none that is larger."""
        return self.data.gathered

    def __len__(self) -> int:
        return self.data.steps_per_epoch

    def __iter__(self) -> Iterator[Tensor]:
        # Read when the first batch is asked for: then a checkpoint has been restored.
        loop = self.trainer.fit_loop
        epoch = 0 if self.trainer.overfit_batches else self.trainer.current_epoch
        first, per_epoch = loop.epoch_loop.batch_progress.current.ready, self.data.steps_per_epoch
        yield from self.data.batches(epoch * per_epoch + first, (epoch + 1) * per_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the Trainer knows where it is. Without it Lightning would start epochs over."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to do."""


class StageBatches:
    """The first samples of a stage in their order, in batches [B, *shape]; all by default.

    Raises DataError where there are none.
    """

    def __init__(self, data: AutoencoderDataModule, stage: str, rows: int | None = None) -> None:
        self.data = data
        self.stage = stage
        samples = len(data.samples[stage])
        self.rows = samples if rows is None else min(rows, samples)
        if not self.rows:
            raise DataError(f"{data.source.name}: there are no samples for {stage}")

    @property
    def dataset(self) -> Samples:
        """What the batches are of: a Tuner tries none that is larger."""
        return self.data.samples[self.stage]

    def __len__(self) -> int:
        return ceil(self.rows / self.data.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        for chosen in parts_of_stage(self.data, self.stage, self.rows, self.data.batch_size):
            yield self.data.rows(self.stage, chosen)


class TrainingChunks:
    """What chooses several batches at a time, from the model's step to the next scored epoch's end.

    To Lightning that is one epoch, whatever `trainer.check_val_every_n_epoch` is.
    """

    def __init__(self, data: AutoencoderDataModule, model: pl.LightningModule) -> None:
        self.data = data
        self.model = model

    def __iter__(self) -> Iterator[Chunk]:
        step, total = int(self.model.step), int(self.model.total_steps)  # type: ignore[arg-type]
        an_epoch, to_check = self.data.steps_per_epoch, self.data.steps_per_check
        until = min(total, step - step % to_check + to_check)
        while step < until:
            yield from self.data.chunks(step, until)
            step += an_epoch - step % an_epoch


class EvaluationChunks:
    """(stage, chosen): all of the validation split, then as many samples of the training split."""

    def __init__(self, data: AutoencoderDataModule) -> None:
        self.data = data

    def __iter__(self) -> Iterator[tuple[str, Chunk]]:
        for stage in ("val", "train"):
            rows = self.data.evaluated(stage)
            for part in parts_of_stage(self.data, stage, rows, EVALUATION_ROWS):
                yield stage, part


def parts_of_stage(
    data: AutoencoderDataModule, stage: str, rows: int, at_a_time: int
) -> Iterable[Chunk]:
    """What chooses the first so many samples of a stage, in their order."""
    samples = data.samples[stage]
    if isinstance(samples, DiskSamples):
        return samples.raw_parts(at_a_time, rows)
    return torch.arange(rows, device=samples.device).split(at_a_time)
