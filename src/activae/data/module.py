"""The DataModule: splits and normalises once, keeps the result on the device, yields indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy, deepcopy
from functools import partial
from math import ceil
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from activae.config.wording import is_count
from activae.data.binarising import binarised, fresh_draw
from activae.data.in_memory import source_of_arrays
from activae.data.layout import EpochOrder, rows_of
from activae.data.loaders import (
    EVALUATION_ROWS,
    Chunk,
    EvaluationChunks,
    StageBatches,
    TrainingBatches,
    TrainingChunks,
)
from activae.data.normalisation import Normalisation, Samples, fit_normalisation
from activae.data.on_disk.passes import STEPS_PER_CHUNK, shuffled, split_on_disk
from activae.data.on_disk.rows import DiskSamples, NpyRows, RawRows
from activae.data.preparation import Unprepared
from activae.data.source import Source
from activae.data.spec import DataSpec
from activae.data.split import given_segments, split_segments, split_sizes
from activae.errors import ConfigError, DataError


class AutoencoderDataModule(pl.LightningDataModule):
    """Normalised samples of three disjoint splits, and the order in which batches are drawn.

    `setup` fills `samples[stage]` [N, *shape] float and `labels[stage]` [N] or None for the stages
    train, val and test. The loaders yield batches [B, *shape] of normalised samples
    (`data.loaders`). Which samples are in a training batch depends on seed and epoch alone.

    For a LightningModule that optimises manually, as this project's own fit has it, they yield
    indices into the samples: for training a chunk, the indices of several consecutive batches at
    once; for validation a stage's name with indices. Of samples that stay on disk they are the rows
    themselves, raw; `rows` makes samples of both, and `training_rows` those that a step trains on.

    Args:
        source: a Source, or what makes one, such as `activae.data.digits`.
        batch_size: of training; scoring in a plain Trainer goes by it too.
        normalisation: unit_range, standardise, rms or none; see `fit_normalisation`.
        val_fraction, test_fraction: shares of the samples; the second counts only where the source
            has no test set of its own.
        train_fraction: the share of what is left that is trained on.
        split_seed: of the split.
        seed: of the order of the batches.

    Raises ConfigError for a batch_size below 1, and for what is no source.
    """

    def __init__(
        self,
        source: Source | Callable[[], Source | Unprepared],
        *,
        batch_size: int = 32,
        normalisation: str = "unit_range",
        val_fraction: float = 0.1,
        test_fraction: float = 0.2,
        train_fraction: float = 1.0,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not is_count(batch_size):
            raise ConfigError(f"batch_size={batch_size!r}: must be a whole number of 1 or more")
        if not callable(source) and not isinstance(source, Source):
            raise ConfigError(
                f"source: is a {type(source).__name__}, not a Source nor what makes one, such as "
                "activae.data.digits; for an array, a tensor or a DataFrame: "
                "AutoencoderDataModule.from_arrays(x), for a file: pandas.read_csv(path)"
            )
        self.load = source if callable(source) else partial(_itself, source)
        self.batch_size = batch_size
        self.normalisation_kind = normalisation
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.train_fraction = train_fraction
        self.split_seed = split_seed
        self.seed = seed
        self.limit_train_batches: int | float | None = None
        self.check_every = 1  # epochs
        self.limit_val_batches: int | float | None = None
        self.val_rows = 0  # so many of the source's last rows are the validation split, and all
        self.samples: dict[str, Samples] = {}
        # What each step draws its samples from, where it does; `samples` are drawn once.
        self.intensities: Samples | None = None
        self.labels: dict[str, Tensor | None] = {}

    @classmethod
    def from_arrays(
        cls,
        train: Any,
        *,
        val: Any = None,
        test: Any = None,
        labels: Any = None,
        value_range: tuple[float, float] | None = None,
        name: str = "array",
        binarise: str | None = None,
        **settings: Any,
    ) -> AutoencoderDataModule:
        """Of samples in memory: NumPy arrays, tensors or DataFrames; set up at once.

        Args:
            train: vectors [N, features], grey images [N, H, W], or images [N, C, H, W] or
                [N, H, W, C]; split into train, validation and, if there is no `test`, test.
            val: samples of the same shape to validate on; then `train` is not split, and what is
                tested on is `test` alone.
            test: samples of the same shape that are only tested on.
            labels: [N] integers of the samples of `train`, for plots; never trained on.
            value_range: smallest and largest value that the data can take, such as (0, 255).
            name: what messages call them.
            binarise: static or dynamic: samples are draws of 0 and 1 (`data.binarising`).
            settings: those of `AutoencoderDataModule`, by name.

        Raises DataError for what holds no samples, ConfigError for settings that do not fit.

        >>> import numpy as np
        >>> from activae import AutoencoderDataModule
        >>> data = AutoencoderDataModule.from_arrays(np.random.rand(100, 5), batch_size=10)
        >>> [len(data.samples[stage]) for stage in ("train", "val", "test")], data.spec.shape
        ([70, 10, 20], (5,))
        """
        made = source_of_arrays(
            name, train, val=val, test=test, labels=labels, value_range=value_range
        )
        data = cls(binarised(made, binarise), **settings)
        data.val_rows = 0 if val is None else len(val)
        data.setup()
        return data

    def __str__(self) -> str:
        """What the data are, and how many."""
        if not self.samples:
            return f"{type(self).__name__}, not set up"
        sizes = ", ".join(f"{len(samples)} {stage}" for stage, samples in self.samples.items())
        return f"{self.source.name}: {sizes} samples of shape {self.shape}"

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
        if source.binarise and self.normalisation.target_range.tolist() != [0.0, 1.0]:
            raise ConfigError(
                f"data.source.binarise={source.binarise}: draws 0 or 1, and data.normalisation="
                f"{self.normalisation_kind} makes other values of them; take "
                "data.normalisation=unit_range"
            )
        self.samples = {stage: _normalised(part, self.normalisation) for stage, part in raw.items()}
        if self.intensities is not None:
            self.intensities = _normalised(self.intensities, self.normalisation)
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
            binarise=source.binarise,
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
        layout = loaded.layout if isinstance(loaded, Source) else None
        split_rows = layout.split_rows if layout else 1
        if self.val_rows:
            segments = given_segments(samples, self.val_rows)
        else:
            sizes = split_sizes(samples, **fractions)
            segments = split_segments(samples, sizes, self.split_seed, split_rows)
        visited = int((segments[2][:, 1] - segments[2][:, 0]).sum())
        self.order = EpochOrder.of(segments[2], layout) if layout else EpochOrder((visited,))
        if isinstance(loaded.train, NpyRows):
            assert isinstance(loaded, Source)
            assert loaded.test is None
            assert loaded.train_labels is None
            self.source = loaded
            self.labels = dict.fromkeys(("train", "val", "test"))
            if isinstance(loaded.intensities, NpyRows):
                self.intensities = DiskSamples(loaded.intensities, segments[2])
            return {**split_on_disk(loaded, loaded.train, segments)}
        test, val, train = map(rows_of, segments[:3])
        source = self.source = loaded.prepared(train) if isinstance(loaded, Unprepared) else loaded
        assert isinstance(source.train, Tensor)
        raw: dict[str, Samples] = {"train": source.train[train], "val": source.train[val]}
        labels = {"train": _at(source.train_labels, train), "val": _at(source.train_labels, val)}
        if isinstance(source.intensities, Tensor):
            self.intensities = source.intensities[train]
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

    @property
    def steps_per_check(self) -> int:
        """Optimizer steps between two epochs that are scored and recorded."""
        return self.check_every * self.steps_per_epoch

    def evaluated(self, stage: str) -> int:
        """How many samples of a stage are scored each epoch; of train as many as of val."""
        val = len(self.samples["val"])
        batches = batches_of(val, self.batch_size, self.limit_val_batches)
        return min(val, batches * self.batch_size, len(self.samples[stage]))

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        """Move every split to the device and floating-point type, where they stay."""
        self.place(lambda part: part.to(device, dtype))

    def place(self, moved: Callable[[Samples], Samples]) -> None:
        """Replace the samples of every split by what they become."""
        self.samples = {stage: moved(part) for stage, part in self.samples.items()}
        if self.intensities is not None:
            self.intensities = moved(self.intensities)

    def forget(self) -> None:
        """Let go of all samples: others may have them."""
        self.samples, self.intensities = {}, None

    @property
    def on_disk(self) -> bool:
        """Whether the samples stay in their file."""
        return isinstance(self.samples["train"], DiskSamples)

    def rows(self, stage: str, chosen: Chunk) -> Tensor:
        """The samples [n, *shape] of a stage that a loader chose, all or some of them."""
        return _rows(self.samples[stage], chosen)

    def training_rows(self, chosen: Chunk, step: int) -> Tensor:
        """The samples [n, *shape] of a training step (from 0), of those that a loader chose."""
        return self.drawn(_rows(self.gathered, chosen), step)

    @property
    def gathered(self) -> Samples:
        """What training steps choose rows of, and draw samples from, if they do."""
        return self.samples["train"] if self.intensities is None else self.intensities

    def drawn(self, gathered: Tensor, step: int) -> Tensor:
        """The samples of a training step (from 0), of rows [n, *shape] of `gathered`."""
        return gathered if self.intensities is None else fresh_draw(gathered, self.seed, step)

    def chunks(self, step: int, until: int) -> Iterator[Chunk]:
        """Those of the batches from a step to the end of its epoch, or to the step `until`."""
        samples, size = self.gathered, self.batch_size
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
                    yield self.training_rows(chosen, step)
                    step += 1

    def to_unit(self, normalised: Tensor) -> Tensor:
        """Normalised samples [N, *shape] as the share of their raw range: what pictures show."""
        low, high = self.raw_range
        raw = self.normalisation.to(normalised.device).inverse(normalised)
        wide = torch.promote_types(normalised.dtype, torch.float32)
        return ((raw - low) / (high - low)).to(wide).to(normalised.device)

    def train_dataloader(self) -> TrainingBatches | TrainingChunks:
        """The training samples in the order of the epoch; for manual optimisation in chunks."""
        assert self.trainer is not None
        model = self.trainer.lightning_module
        if model.automatic_optimization:
            return TrainingBatches(self, self.trainer)
        return TrainingChunks(self, model)

    def val_dataloader(self) -> list[StageBatches] | EvaluationChunks:
        """All validation samples; in a fit as many training samples too, to compare the two."""
        assert self.trainer is not None
        if not self.trainer.lightning_module.automatic_optimization:
            return EvaluationChunks(self)
        batches = [StageBatches(self, "val")]
        if self.trainer.state.fn == TrainerFn.FITTING:
            batches.append(StageBatches(self, "train", len(self.samples["val"])))
        return batches

    def test_dataloader(self) -> StageBatches:
        """The test samples in their order."""
        return StageBatches(self, "test")

    def predict_dataloader(self) -> StageBatches:
        """Those that are tested on."""
        return StageBatches(self, "test")


def _itself(source: Source) -> Source:
    return source  # a lambda could not be pickled


def batches_of(samples: int, batch_size: int, limit: int | float | None = None) -> int:
    """How many batches an epoch takes: all, or as many, or the share, that the limit says.

    A share of less than one batch is one.
    """
    whole = ceil(samples / batch_size)
    if limit is None:
        return whole
    return max(1, int(whole * limit)) if isinstance(limit, float) else min(whole, limit)


def _normalised(raw: Samples, normalisation: Normalisation) -> Samples:
    if isinstance(raw, Tensor):
        return normalisation(raw)
    return DiskSamples(raw.rows, raw.segments, raw.survey, normalisation)


def _rows(samples: Samples, chosen: Chunk) -> Tensor:
    if isinstance(chosen, RawRows):
        assert isinstance(samples, DiskSamples)
        return samples.normalised(chosen)
    return samples.index_select(0, chosen)


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
