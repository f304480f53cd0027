"""The DataModule: splits and normalises once, keeps the result on the device, yields indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy, deepcopy
from math import ceil
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from activae.data.layout import EpochOrder, rows_of
from activae.data.normalisation import Normalisation, Samples, fit_normalisation
from activae.data.on_disk.passes import STEPS_PER_CHUNK, shuffled, split_on_disk
from activae.data.on_disk.rows import DiskSamples, NpyRows, RawRows
from activae.data.preparation import Unprepared
from activae.data.source import Source
from activae.data.spec import DataSpec
from activae.data.split import split_segments, split_sizes
from activae.errors import DataError

EVALUATION_ROWS = 4096

Chunk = Tensor | RawRows


class AutoencoderDataModule(pl.LightningDataModule):
    """Normalised samples of three disjoint splits, and the order in which batches are drawn.

    `setup` fills `samples[stage]` [N, *shape] float and `labels[stage]` [N] or None for the stages
    train, val and test. What the loaders yield are indices into these: for training a chunk, the
    indices of several consecutive batches at once; for validation a stage's name with indices.

    Of samples that stay on disk they yield the rows themselves, raw; `rows` makes samples of both.
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
        self.limit_train_batches: int | float | None = None
        self.limit_val_batches: int | float | None = None
        self.samples: dict[str, Samples] = {}
        self.labels: dict[str, Tensor | None] = {}

    def setup(self, stage: str = "fit") -> None:
        """Load, split and normalise, once; DataError or ConfigError where that cannot be done."""
        if self.samples:
            return
        raw = self._split(self.load())
        source = self.source
        if _is_constant(raw["train"]):
            raise DataError(
                f"{source.name}: the training split is constant: all its {len(raw['train'])} "
                "samples are equal, so that there is nothing to learn. Check the file; where few "
                "samples differ, another split may hold them: data.split_seed=1"
            )
        self.normalisation: Normalisation = fit_normalisation(
            self.normalisation_kind, raw["train"], source.value_range
        )
        self.samples = {stage: _normalised(part, self.normalisation) for stage, part in raw.items()}
        low, high = source.value_range or raw["train"].aminmax()
        self.raw_range = (float(low), float(high))
        self.spec = self._describe()

    def _describe(self) -> DataSpec:
        source, preparation = self.source, self.source.preparation
        bottom, top = self.normalisation.target_range.tolist()
        counts = _whole_counts(self.samples.values())
        return DataSpec(
            name=source.name,
            shape=source.sample_shape,
            kind="image" if source.is_image else "counts" if counts else "vector",
            raw_range=self.raw_range,
            normalised_range=(bottom, top),
            samples={stage: len(part) for stage, part in self.samples.items()},
            whole_counts=counts,
            features=source.features if preparation is None else tuple(preparation.features),
            classes=source.class_names,
            units=source.units,
        )

    def _split(self, loaded: Source | Unprepared) -> dict[str, Samples]:
        """The raw samples of each stage; sets the source, prepared if need be, and their labels."""
        fractions: dict[str, Any] = {
            "has_test": loaded.test is not None,
            "val_fraction": self.val_fraction,
            "test_fraction": self.test_fraction,
            "train_fraction": self.train_fraction,
        }
        samples = len(loaded.train)
        sizes = split_sizes(samples, **fractions)
        layout = loaded.layout if isinstance(loaded, Source) else None
        split_rows = layout.split_rows if layout else 1
        segments = split_segments(samples, sizes, self.split_seed, split_rows)
        self.order = EpochOrder.of(segments[2], layout) if layout else EpochOrder((sizes[2],))
        if isinstance(loaded.train, NpyRows):
            assert isinstance(loaded, Source)
            assert loaded.test is None
            assert loaded.train_labels is None
            self.source = loaded
            self.labels = dict.fromkeys(("train", "val", "test"))
            return {**split_on_disk(loaded, loaded.train, segments)}
        test, val, train = map(rows_of, segments[:3])
        source = self.source = loaded.prepared(train) if isinstance(loaded, Unprepared) else loaded
        assert isinstance(source.train, Tensor)
        raw: dict[str, Samples] = {"train": source.train[train], "val": source.train[val]}
        labels = {"train": _at(source.train_labels, train), "val": _at(source.train_labels, val)}
        if source.test is not None:
            raw["test"], labels["test"] = source.test, source.test_labels
        else:
            raw["test"] = source.train[test]
            labels["test"] = _at(source.train_labels, test)
        self.labels = labels
        return raw

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
    def largest_batch(self) -> int:
        """How many samples the batches of an epoch hold, but for a last one that may hold fewer."""
        return min(self.batch_size, len(self.samples["train"]))

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that visit every training sample once; the last batch may be short.

        Fewer where `limit_train_batches` says so.
        """
        return batches_of(len(self.samples["train"]), self.batch_size, self.limit_train_batches)

    def evaluated(self, stage: str) -> int:
        """How many samples of a stage are scored each epoch; of train as many as of val."""
        val = len(self.samples["val"])
        batches = batches_of(val, self.batch_size, self.limit_val_batches)
        return min(val, batches * self.batch_size, len(self.samples[stage]))

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move every split to the device and floating-point type, where they stay."""
        self.samples = {stage: part.to(device, dtype) for stage, part in self.samples.items()}

    @property
    def on_disk(self) -> bool:
        """Whether the samples stay in their file."""
        return isinstance(self.samples["train"], DiskSamples)

    def rows(self, stage: str, chosen: Chunk) -> Tensor:
        """The samples [n, *shape] of a stage that a loader chose, all or some of them."""
        samples = self.samples[stage]
        if isinstance(chosen, RawRows):
            assert isinstance(samples, DiskSamples)
            return samples.normalised(chosen)
        return samples.index_select(0, chosen)

    def chunks(self, step: int, until: int) -> Iterator[Chunk]:
        """Those of the batches from a step to the end of its epoch, or to the step `until`."""
        samples, size = self.samples["train"], self.batch_size
        epoch, place = divmod(step, self.steps_per_epoch)
        first, limit = place * size, min(until - step, self.steps_per_epoch - place) * size
        if isinstance(samples, DiskSamples):
            position = {"seed": self.seed, "epoch": epoch, "first": first, "limit": limit}
            return shuffled(samples, self.order, **position, batch_size=size)
        order = self.order.positions(self.seed, epoch).to(samples.device)
        return iter(order[first : first + limit].split(STEPS_PER_CHUNK * size))

    def batches(self, step: int, until: int) -> Iterator[Tensor]:
        """The batches [n, *shape] of the steps from one to before another, across epochs."""
        while step < until:
            for chunk in self.chunks(step, until):
                for chosen in chunk.split(self.batch_size):
                    yield self.rows("train", chosen)
                    step += 1

    def to_unit(self, normalised: Tensor) -> Tensor:
        """Normalised samples [N, *shape] as the share of their raw range: what pictures show."""
        low, high = self.raw_range
        raw = self.normalisation.to(normalised.device).inverse(normalised)
        wide = torch.promote_types(normalised.dtype, torch.float32)
        return ((raw - low) / (high - low)).to(wide).to(normalised.device)

    def train_dataloader(self) -> TrainingChunks:
        """Chunks from the step that the LightningModule has reached up to the end of its epoch."""
        assert self.trainer is not None
        return TrainingChunks(self, self.trainer.lightning_module)

    def val_dataloader(self) -> EvaluationChunks:
        """All validation samples, and as many training samples, so that the two can be compared."""
        return EvaluationChunks(self)


def batches_of(samples: int, batch_size: int, limit: int | float | None = None) -> int:
    """How many batches an epoch takes: all, or as many, or the share, that the limit says.

    A share of less than one batch is one.
    """
    whole = ceil(samples / batch_size)
    if limit is None:
        return whole
    return max(1, int(whole * limit)) if isinstance(limit, float) else min(whole, limit)


class TrainingChunks:
    """What chooses several batches at a time, from the model's step to the end of its epoch."""

    def __init__(self, data: AutoencoderDataModule, model: pl.LightningModule) -> None:
        self.data = data
        self.model = model

    def __iter__(self) -> Iterator[Chunk]:
        return self.data.chunks(int(self.model.step), int(self.model.total_steps))  # type: ignore[arg-type]


class EvaluationChunks:
    """(stage, chosen): all of the validation split, then as many samples of the training split."""

    def __init__(self, data: AutoencoderDataModule) -> None:
        self.data = data

    def __iter__(self) -> Iterator[tuple[str, Chunk]]:
        for stage in ("val", "train"):
            samples = self.data.samples[stage]
            rows = self.data.evaluated(stage)
            parts: Iterable[Chunk]
            if isinstance(samples, DiskSamples):
                parts = samples.raw_parts(EVALUATION_ROWS, rows)
            else:
                parts = torch.arange(rows, device=samples.device).split(EVALUATION_ROWS)
            for part in parts:
                yield stage, part


def _normalised(raw: Samples, normalisation: Normalisation) -> Samples:
    if isinstance(raw, Tensor):
        return normalisation(raw)
    return DiskSamples(raw.rows, raw.segments, raw.survey, normalisation)


def _is_constant(samples: Samples) -> bool:
    """Whether all samples are equal; stops at the first that differs."""
    first = samples[:1]
    return all(bool((part == first).all()) for part in samples.split(EVALUATION_ROWS))


def _whole_counts(splits: Iterable[Samples]) -> bool:
    """Whether all values are whole numbers of 0 or more; stops at the first other."""
    parts = (part for samples in splits for part in samples.split(EVALUATION_ROWS))
    return all(bool(((part >= 0) & (part == part.round())).all()) for part in parts)


def _at(labels: Tensor | None, indices: Tensor) -> Tensor | None:
    return None if labels is None else labels[indices]
