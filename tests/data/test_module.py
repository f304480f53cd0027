"""The DataModule: what it splits, normalises and keeps, and the batches it hands out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor

from activae.data.module import (
    EVALUATION_ROWS,
    STEPS_PER_CHUNK,
    AutoencoderDataModule,
    EvaluationChunks,
    TrainingChunks,
)
from activae.data.source import Source
from activae.errors import ConfigError, DataError
from activae.randomness import batch_order


def numbered(samples: int = 100, test: int | None = None) -> Source:
    """Vectors whose first value is their number, labelled by it."""

    def part(count: int, first: int) -> tuple[Tensor, Tensor]:
        number = torch.arange(first, first + count)
        return torch.stack([number, -2 * number + 5, number % 7], 1).float(), number

    train, labels = part(samples, 0)
    if test is None:
        return Source("numbered", train, train_labels=labels)
    extra, extra_labels = part(test, samples)
    return Source("numbered", train, train_labels=labels, test=extra, test_labels=extra_labels)


def module(source: Callable[[], Source] = numbered, **changes: Any) -> AutoencoderDataModule:
    settings: dict[str, Any] = {
        "batch_size": 8,
        "normalisation": "none",
        "val_fraction": 0.1,
        "test_fraction": 0.2,
        "train_fraction": 1.0,
        "split_seed": 0,
        "seed": 0,
    }
    data = AutoencoderDataModule(source, **settings | changes)
    data.setup()
    return data


def numbers(samples: Tensor) -> set[int]:
    return {int(value) for value in samples[:, 0].tolist()}


@dataclass
class Position:
    """The part of a LightningModule that the loaders look at."""

    step: int = 0
    total_steps: int = 10**6


def batches(data: AutoencoderDataModule, step: int = 0, total: int = 10**6) -> list[list[int]]:
    """The indices of every batch that the training loader hands out from a step on."""
    model: Any = Position(step, total)
    chunks: Iterator[Tensor] = iter(TrainingChunks(data, model))
    return [batch.tolist() for chunk in chunks for batch in chunk.split(data.batch_size)]


def test_splits_are_disjoint_and_use_every_sample() -> None:
    data = module()

    parts = [numbers(data.samples[stage]) for stage in ("train", "val", "test")]
    assert [len(part) for part in parts] == [70, 10, 20]
    assert set.union(*parts) == set(range(100))


def test_a_test_set_that_comes_with_the_data_is_used_whole() -> None:
    data = module(partial(numbered, test=13))

    assert numbers(data.samples["test"]) == set(range(100, 113))
    assert len(data.samples["val"]) == 10
    assert len(data.samples["train"]) == 90


@pytest.mark.parametrize("source", [numbered, partial(numbered, test=13)])
def test_labels_stay_with_their_samples(source: Callable[[], Source]) -> None:
    data = module(source)

    for stage, samples in data.samples.items():
        labels = data.labels[stage]
        assert labels is not None
        assert labels.tolist() == samples[:, 0].tolist()


def test_unlabelled_data_have_no_labels() -> None:
    data = module(lambda: Source("bare", torch.rand(50, 3)))

    assert data.labels == {"train": None, "val": None, "test": None}


def test_another_split_seed_splits_otherwise_and_the_run_seed_does_not() -> None:
    first, same, other = module(), module(seed=1), module(split_seed=1)

    assert numbers(first.samples["test"]) == numbers(same.samples["test"])
    assert numbers(first.samples["test"]) != numbers(other.samples["test"])


def test_a_share_of_the_training_data_leaves_the_other_splits_alone() -> None:
    whole, half = module(), module(train_fraction=0.5)

    assert len(half.samples["train"]) == 35
    assert numbers(half.samples["train"]) < numbers(whole.samples["train"])
    for stage in ("val", "test"):
        assert half.samples[stage].equal(whole.samples[stage])


@pytest.mark.parametrize("kind", ["unit_range", "standardise"])
def test_normalisation_knows_the_training_split_alone(kind: str) -> None:
    data, plain = module(normalisation=kind), module()

    train = data.samples["train"]
    if kind == "unit_range":
        assert train.amin(0).tolist() == [0, 0, 0]
        assert train.amax(0).tolist() == [1, 1, 1]
    else:
        torch.testing.assert_close(train.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(train.std(0, correction=0), torch.ones(3))
    for stage in ("val", "test"):
        torch.testing.assert_close(data.samples[stage], data.normalisation(plain.samples[stage]))


def test_it_is_loaded_once() -> None:
    calls = []

    def source() -> Source:
        calls.append(1)
        return numbered()

    data = module(source)
    data.setup("validate")

    assert len(calls) == 1


def test_errors_of_source_and_split_come_through() -> None:
    with pytest.raises(DataError, match="constant"):
        module(lambda: Source("flat", torch.ones(9, 3)))
    with pytest.raises(ConfigError, match=r"data\.val_fraction"):
        module(val_fraction=0.001)


@pytest.mark.parametrize("kind", ["none", "standardise", "unit_range", "rms"])
def test_a_constant_training_split_is_named_as_such(kind: str) -> None:
    """The samples that differ have fallen into another split."""
    elsewhere = set(range(100)) - numbers(module().samples["train"])
    samples = torch.zeros(100, 3)
    samples[sorted(elsewhere)] = 1
    with pytest.raises(DataError, match=r"sparse: the training split is constant.*split_seed"):
        module(lambda: Source("sparse", samples), normalisation=kind)


def test_all_samples_move_to_the_device_and_type() -> None:
    data = module()

    data.to(torch.device("cpu"), torch.float64)

    assert {samples.dtype for samples in data.samples.values()} == {torch.float64}


def test_batches_of_an_epoch_visit_every_training_sample_once() -> None:
    data = module()

    found = batches(data)

    assert [len(batch) for batch in found] == [8] * 8 + [6]
    assert len(found) == data.steps_per_epoch
    assert sorted(index for batch in found for index in batch) == list(range(70))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    data = module()

    assert batches(data) == batches(module())
    assert [*chain(*batches(data))] == batch_order(0, 0, 70).tolist()
    assert [*chain(*batches(data, step=9))] == batch_order(0, 1, 70).tolist()
    assert batches(module(seed=1)) != batches(data)


@pytest.mark.parametrize("step", [1, 8, 10, 25])
def test_batches_go_on_from_the_models_step(step: int) -> None:
    data = module()
    epoch_start = step - step % data.steps_per_epoch

    assert batches(data, step) == batches(data, epoch_start)[step - epoch_start :]


def test_batches_end_with_the_last_step_of_the_run() -> None:
    data = module()

    assert batches(data, step=10, total=12) == batches(data, step=9)[1:3]


def test_a_chunk_holds_several_whole_batches() -> None:
    data = module(partial(numbered, samples=2000), batch_size=4)
    model: Any = Position()

    sizes = [len(chunk) for chunk in TrainingChunks(data, model)]

    assert sizes[:-1] == [STEPS_PER_CHUNK * 4] * (len(sizes) - 1)
    assert len(sizes) > 2
    assert sum(sizes) == 1400


def test_evaluation_sees_all_of_val_and_as_much_of_train() -> None:
    data = module(partial(numbered, samples=60_000))

    seen: dict[str, list[int]] = {"val": [], "train": []}
    for stage, indices in EvaluationChunks(data):
        assert len(indices) <= EVALUATION_ROWS
        seen[stage] += indices.tolist()

    assert seen == {"val": list(range(6000)), "train": list(range(6000))}


def test_evaluation_sees_all_of_train_where_that_is_less() -> None:
    data = module(train_fraction=0.1)

    rows = {stage: len(indices) for stage, indices in EvaluationChunks(data)}

    assert rows == {"val": 10, "train": 7}


@pytest.mark.parametrize("kind", ["unit_range", "standardise", "none"])
def test_pictures_show_the_raw_range_whatever_the_normalisation(kind: str) -> None:
    images = torch.arange(50 * 16, dtype=torch.uint8).reshape(50, 1, 4, 4) // 4
    data = module(lambda: Source("images", images, value_range=(0, 100)), normalisation=kind)

    shown = data.to_unit(data.samples["val"])

    expected = module(
        lambda: Source("images", images, value_range=(0, 100)), normalisation="none"
    ).samples["val"]
    torch.testing.assert_close(shown, expected / 100)


def test_pictures_of_an_undeclared_range_show_that_of_the_training_split() -> None:
    data = module(lambda: Source("images", torch.randn(50, 1, 4, 4)), normalisation="standardise")

    shown = data.to_unit(data.samples["train"])

    assert shown.min().item() == pytest.approx(0, abs=1e-6)
    assert shown.max().item() == pytest.approx(1, abs=1e-6)
