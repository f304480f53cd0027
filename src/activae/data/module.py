"""The DataModule: splits and normalises once, keeps the result on the device, yields indices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from math import ceil

import pytorch_lightning as pl
import torch
from torch import Tensor

from activae.data.normalisation import Normalisation, fit_normalisation
from activae.data.preparation import Unprepared
from activae.data.source import Source
from activae.data.split import split_indices
from activae.randomness import batch_order

STEPS_PER_CHUNK = 32
EVALUATION_ROWS = 4096


class AutoencoderDataModule(pl.LightningDataModule):
    """Normalised samples of three disjoint splits, and the order in which batches are drawn.

    `setup` fills `samples[stage]` [N, *shape] float and `labels[stage]` [N] or None for the stages
    train, val and test. What the loaders yield are indices into these: for training a chunk, the
    indices of several consecutive batches at once; for validation a stage's name with indices.
    """

    def __init__(
        self,
        source: Callable[[], Source | Unprepared],
        *,
        batch_size: int,
        normalisation: str,
        val_fraction: float,
        test_fraction: float,
        train_fraction: float,
        split_seed: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.load = source
        self.batch_size = batch_size
        self.normalisation_kind = normalisation
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.train_fraction = train_fraction
        self.split_seed = split_seed
        self.seed = seed
        self.samples: dict[str, Tensor] = {}
        self.labels: dict[str, Tensor | None] = {}

    def setup(self, stage: str = "fit") -> None:
        """Load, split and normalise, once; DataError or ConfigError where that cannot be done."""
        if self.samples:
            return
        loaded = self.load()
        parts = split_indices(
            len(loaded.train),
            has_test=loaded.test is not None,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            train_fraction=self.train_fraction,
            seed=self.split_seed,
        )
        source = self.source = (
            loaded.prepared(parts.train) if isinstance(loaded, Unprepared) else loaded
        )
        raw = {"train": source.train[parts.train], "val": source.train[parts.val]}
        labels = {"train": _at(source.train_labels, parts.train)}
        labels["val"] = _at(source.train_labels, parts.val)
        if parts.test is None:
            assert source.test is not None
            raw["test"], labels["test"] = source.test, source.test_labels
        else:
            raw["test"] = source.train[parts.test]
            labels["test"] = _at(source.train_labels, parts.test)
        self.normalisation: Normalisation = fit_normalisation(
            self.normalisation_kind, raw["train"], source.value_range
        )
        self.samples = {stage: self.normalisation(part) for stage, part in raw.items()}
        self.labels = labels
        low, high = source.value_range or raw["train"].aminmax()
        self.raw_range = (float(low), float(high))

    def for_run(self, *, seed: int, batch_size: int) -> AutoencoderDataModule:
        """The same samples for another run: tensors are shared, all that a run changes is not."""
        other = copy(self)
        other.seed, other.batch_size = seed, batch_size
        other.samples = dict(self.samples)
        other.normalisation = deepcopy(self.normalisation)
        return other

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.source.sample_shape

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that visit every training sample once; the last batch may be short."""
        return ceil(len(self.samples["train"]) / self.batch_size)

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move every split to the device and floating-point type, where they stay."""
        self.samples = {stage: part.to(device, dtype) for stage, part in self.samples.items()}

    def holds_counts(self) -> bool:
        """Whether all normalised samples are whole numbers of 0 or more."""
        parts = (p for samples in self.samples.values() for p in samples.split(EVALUATION_ROWS))
        return all(bool(((part >= 0) & (part == part.round())).all()) for part in parts)

    def to_unit(self, normalised: Tensor) -> Tensor:
        """Normalised samples [N, *shape] as the share of their raw range: what pictures show."""
        low, high = self.raw_range
        raw = self.normalisation.to(normalised.device).inverse(normalised)
        return (raw - low) / (high - low)

    def train_dataloader(self) -> TrainingChunks:
        """Chunks from the step that the LightningModule has reached up to the end of its epoch."""
        assert self.trainer is not None
        return TrainingChunks(self, self.trainer.lightning_module)

    def val_dataloader(self) -> EvaluationChunks:
        """All validation samples, and as many training samples, so that the two can be compared."""
        return EvaluationChunks(self)


class TrainingChunks:
    """The indices of several batches at a time, from the model's step to the end of its epoch."""

    def __init__(self, data: AutoencoderDataModule, model: pl.LightningModule) -> None:
        self.data = data
        self.model = model

    def __iter__(self) -> Iterator[Tensor]:
        data = self.data
        samples = data.samples["train"]
        epoch, step = divmod(int(self.model.step), data.steps_per_epoch)  # type: ignore[arg-type]
        left = int(self.model.total_steps) - int(self.model.step)  # type: ignore[arg-type]
        order = batch_order(data.seed, epoch, len(samples)).to(samples.device)
        order = order[step * data.batch_size : (step + left) * data.batch_size]
        return iter(order.split(STEPS_PER_CHUNK * data.batch_size))


class EvaluationChunks:
    """(stage, indices): all of the validation split, then as many samples of the training split."""

    def __init__(self, data: AutoencoderDataModule) -> None:
        self.data = data

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        samples = self.data.samples
        for stage in ("val", "train"):
            rows = min(len(samples["val"]), len(samples[stage]))
            for indices in torch.arange(rows, device=samples[stage].device).split(EVALUATION_ROWS):
                yield stage, indices


def _at(labels: Tensor | None, indices: Tensor) -> Tensor | None:
    return None if labels is None else labels[indices]
