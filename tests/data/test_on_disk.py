"""Arrays that stay on disk: the same samples and figures as in memory, each row once an epoch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from activae.data import array, layout
from activae.data.module import AutoencoderDataModule, EvaluationChunks, TrainingChunks
from activae.data.normalisation import fit_normalisation
from activae.data.on_disk.rows import DiskSamples, NpyRows, RawRows
from activae.data.sources import arrays
from activae.data.split import split_indices
from activae.errors import ConfigError, DataError
from activae.randomness import batch_order
from activae.results.pca import PCA

Array = NDArray[Any]
Make = Callable[..., AutoencoderDataModule]

ROWS, FEATURES, BATCH = 3000, 5, 32
# Windows of a few hundred rows, blocks of a few: a file of some kilobytes has many of both.
SMALL_BUFFER = 0.03


def numbered(rows: int = ROWS) -> Array:
    """Rows whose first value is their number."""
    random = np.random.default_rng(0).normal(3, 2, (rows, FEATURES)).astype(np.float32)
    random[:, 0] = np.arange(rows)
    return random


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A DataModule on an array that was saved, on disk unless `in_memory`; it counts as large."""
    monkeypatch.setattr(layout, "SMALL_FILE_BYTES", 0)

    def made(values: Array | None = None, **changes: Any) -> AutoencoderDataModule:
        file = tmp_path / "mine.npy"
        np.save(file, numbered() if values is None else values)
        of_source = {key: changes.pop(key) for key in ("value_range",) if key in changes}
        of_source |= {
            "in_memory": changes.pop("in_memory", False),
            "buffer_mb": changes.pop("buffer_mb", SMALL_BUFFER),
        }
        settings: dict[str, Any] = {
            "batch_size": BATCH,
            "normalisation": "none",
            "val_fraction": 0.1,
            "test_fraction": 0.2,
            "train_fraction": 1.0,
            "split_seed": 0,
            "seed": 0,
        }
        data = AutoencoderDataModule(partial(array, file, **of_source), **settings | changes)
        data.setup()
        return data

    return made


def whole(samples: Tensor | DiskSamples) -> Tensor:
    return samples[:]


def raw_rows(samples: Tensor | DiskSamples) -> Tensor:
    assert isinstance(samples, DiskSamples)
    return samples.rows.read(samples.segments)


def numbers(rows: Tensor) -> list[int]:
    return [round(number) for number in rows[:, 0].tolist()]


def batches(data: AutoencoderDataModule, first: int, until: int) -> list[list[int]]:
    return [numbers(batch) for batch in data.batches(first, until)]


def test_windows_and_blocks_are_small_here_so_that_there_are_many(make: Make) -> None:
    rows = make().source.train
    assert isinstance(rows, NpyRows)
    assert rows.layout.window_rows < ROWS / 5
    assert rows.layout.block_rows < rows.layout.window_rows / 60


def test_parts_have_the_sizes_they_have_in_memory_and_share_no_row(make: Make) -> None:
    on_disk, in_memory = make(train_fraction=0.7), make(train_fraction=0.7, in_memory=True)

    for stage, samples in in_memory.samples.items():
        assert on_disk.samples[stage].shape == samples.shape
    used = [n for samples in on_disk.samples.values() for n in numbers(whole(samples))]
    assert len(used) == len(set(used))
    assert set(used) < set(range(ROWS))


@pytest.mark.parametrize("is_small", [True, False])
@pytest.mark.parametrize("buffer_mb", [SMALL_BUFFER, 512])
@pytest.mark.parametrize(
    ("dtype", "shape"), [("f4", (5,)), (">f8", (7,)), ("u1", (4, 6, 3)), ("i2", (3, 3))]
)
def test_splits_and_batches_are_the_same_wherever_the_rows_are(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    is_small: bool,
    buffer_mb: float,
    dtype: str,
    shape: tuple[int, ...],
) -> None:
    monkeypatch.setattr(layout, "SMALL_FILE_BYTES", 10**9 if is_small else 0)
    values = np.random.default_rng(2).integers(0, 200, (2000, *shape)).astype(dtype)
    settings = {"buffer_mb": buffer_mb, "normalisation": "standardise", "train_fraction": 0.9}

    disk, memory = (make(values, in_memory=place, **settings) for place in (False, True))
    default = make(values, in_memory=None, **settings)

    assert isinstance(disk.samples["train"], DiskSamples)
    for other in (memory, default):
        assert isinstance(other.samples["train"], Tensor)
        for stage, samples in other.samples.items():
            assert whole(disk.samples[stage]).equal(samples)
        for name, buffer in other.normalisation.state_dict().items():
            assert disk.normalisation.state_dict()[name].equal(buffer), name
        steps = 2 * other.steps_per_epoch
        pairs = zip(disk.batches(3, steps), other.batches(3, steps), strict=True)
        assert all(ours.equal(theirs) for ours, theirs in pairs)


def test_the_memory_that_is_free_decides_where_rows_lie_and_not_how_they_are_split(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run that is resumed on a busier machine would train on what it is tested with."""
    found = []
    for available in (10**9, 10**5):
        monkeypatch.setattr(arrays, "available_bytes", lambda free=available: free)
        found.append(make(in_memory=None))
    memory, disk = found

    assert isinstance(memory.samples["train"], Tensor)
    assert isinstance(disk.samples["train"], DiskSamples)
    for stage, samples in memory.samples.items():
        assert whole(disk.samples[stage]).equal(samples)
    assert batches(disk, 0, 9) == batches(memory, 0, 9)


def test_small_files_in_one_window_are_split_and_shuffled_as_any_samples(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SMALL_FILE_BYTES", 10**9)
    data = make(buffer_mb=512, in_memory=True)

    shares = {"val_fraction": 0.1, "test_fraction": 0.2, "train_fraction": 1.0}
    parts = split_indices(ROWS, has_test=False, seed=0, **shares)
    assert numbers(whole(data.samples["train"])) == parts.train.tolist()
    order = data.order.positions(0, 1)
    assert order.equal(batch_order(0, 1, len(parts.train)))


def test_a_smaller_training_part_is_a_subset_and_leaves_the_others_alone(make: Make) -> None:
    large, small = make(), make(train_fraction=0.5)

    assert set(numbers(whole(small.samples["train"]))) < set(numbers(whole(large.samples["train"])))
    for stage in ("val", "test"):
        assert whole(small.samples[stage]).equal(whole(large.samples[stage]))
    other = make(split_seed=1)
    assert numbers(whole(other.samples["val"])) != numbers(whole(large.samples["val"]))


def test_samples_are_the_rows_of_the_file(make: Make) -> None:
    values = numbered()

    for samples in make(values).samples.values():
        rows = whole(samples)
        assert rows.equal(torch.from_numpy(values[numbers(rows)]))


@pytest.mark.parametrize("kind", ["unit_range", "standardise", "none"])
@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16", ">f4"])
def test_normalised_samples_are_those_that_memory_would_hold(
    make: Make, kind: str, image: bool, dtype: str
) -> None:
    shape = (400, 4, 6, 3) if image else (400, 7)
    values = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)

    data = make(values, normalisation=kind)

    raw = {stage: raw_rows(samples) for stage, samples in data.samples.items()}
    fitted = fit_normalisation(kind, raw["train"], None)
    assert data.normalisation.state_dict().keys() == fitted.state_dict().keys()
    for name, buffer in fitted.state_dict().items():
        assert data.normalisation.state_dict()[name].equal(buffer), name
    for stage, samples in data.samples.items():
        assert samples.dtype == torch.float32
        assert whole(samples).equal(fitted(raw[stage]))
    mean = data.samples["train"].mean(0)
    torch.testing.assert_close(mean, fitted(raw["train"]).mean(0), atol=1e-5, rtol=1e-5)
    assert data.raw_range == tuple(map(float, raw["train"].aminmax()))


def test_samples_can_be_picked_like_those_of_a_tensor(make: Make) -> None:
    samples = make(normalisation="standardise").samples["val"]
    assert isinstance(samples, DiskSamples)
    tensor = whole(samples)
    indices = torch.tensor([7, 250, 0, 7, 8, 299])

    assert samples[indices].equal(tensor[indices])
    assert samples.index_select(0, indices).equal(tensor[indices])
    assert samples[3:40].equal(tensor[3:40])
    assert samples[290:1000].equal(tensor[290:])
    assert samples[5].equal(tensor[5])
    assert samples.numel() == tensor.numel()
    assert samples[:0].shape == (0, FEATURES)
    assert torch.cat(list(samples.split(64))).equal(tensor)
    assert len(samples) == len(tensor)


def test_they_move_to_another_type_as_tensors_do(make: Make) -> None:
    data, memory = make(), make()
    data.to(torch.device("cpu"), torch.float64)

    for stage, samples in data.samples.items():
        assert samples.dtype == torch.float64
        assert whole(samples).equal(whole(memory.samples[stage]).double())


def test_an_epoch_visits_every_training_row_once(make: Make) -> None:
    data = make()
    steps = data.steps_per_epoch

    found = batches(data, 0, steps)

    assert [len(batch) for batch in found] == [BATCH] * 65 + [20]
    assert sorted(chain(*found)) == sorted(numbers(whole(data.samples["train"])))


def test_the_order_depends_on_seed_and_epoch_alone(make: Make) -> None:
    data, steps = make(), make().steps_per_epoch

    assert batches(data, 0, steps) == batches(make(), 0, steps)
    assert batches(data, steps, 2 * steps) != batches(data, 0, steps)
    assert batches(make(seed=1), 0, steps) != batches(data, 0, steps)


def test_a_batch_mixes_rows_of_many_blocks(make: Make) -> None:
    data = make()
    rows = data.source.train
    assert isinstance(rows, NpyRows)

    for batch in batches(data, 0, 40):
        assert len({number // rows.layout.block_rows for number in batch}) > BATCH / 2


@pytest.mark.parametrize("step", [0, 1, 8, 30, 64, 65, 66, 100])
def test_batches_go_on_from_any_step(make: Make, step: int) -> None:
    data = make()
    everything = batches(data, 0, 3 * data.steps_per_epoch)

    assert batches(data, step, step + 40) == everything[step : step + 40]


def test_the_loaders_yield_whole_batches_of_these_rows(make: Make) -> None:
    data = make()
    model: Any = type("Position", (), {"step": 10, "total_steps": 30})()

    chunks = list(TrainingChunks(data, model))

    assert all(isinstance(chunk, RawRows) for chunk in chunks)
    found = [numbers(data.rows("train", part)) for c in chunks for part in c.split(BATCH)]
    assert found == batches(data, 10, 30)


def test_evaluation_sees_all_of_val_and_as_much_of_train(make: Make) -> None:
    data = make()
    seen: dict[str, list[int]] = {"val": [], "train": []}

    for stage, chosen in EvaluationChunks(data):
        seen[stage] += numbers(data.rows(stage, chosen))

    assert seen["val"] == numbers(whole(data.samples["val"]))
    assert seen["train"] == numbers(whole(data.samples["train"]))[:300]


def test_pca_is_that_of_the_same_samples_in_memory(make: Make) -> None:
    samples = make(normalisation="standardise").samples["train"]

    found, expected = PCA.fit(samples), PCA.fit(whole(samples))

    torch.testing.assert_close(found.eigenvalues, expected.eigenvalues)
    x = samples[:50]
    torch.testing.assert_close(found.reconstruct(x, 2), expected.reconstruct(x, 2))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_with_its_place(make: Make, bad: float) -> None:
    values = numbered()
    values[1234, 3] = values[2000, 0] = bad

    message = rf"2 of 15000 training values .* first is {bad} in sample 1234 .*position \[3\]"
    with pytest.raises(DataError, match=message):
        make(values)


@pytest.mark.parametrize(
    ("values", "value_range", "message"),
    [
        (np.ones((50, 3)), None, "constant data"),
        (np.random.default_rng(0).random((50, 3)), [0, 255], "already been divided"),
        (np.random.default_rng(0).random((50, 3)) * 9, [0, 1], "outside the declared range"),
    ],
)
def test_values_are_checked_as_in_memory(
    make: Make, values: Array, value_range: list[float] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make(values, value_range=value_range)


def test_a_declared_range_is_used(make: Make) -> None:
    values = np.random.default_rng(0).integers(0, 250, (300, 4), dtype=np.uint8)
    data = make(values, value_range=[0, 255], normalisation="unit_range")

    assert data.raw_range == (0, 255)
    assert data.normalisation.scale.tolist() == [255] * 4


def test_an_array_in_fortran_order_says_what_to_do(make: Make) -> None:
    with pytest.raises(DataError, match=r"Fortran order.*numpy\.ascontiguousarray.*in_memory=true"):
        make(np.asfortranarray(numbered()))


def test_a_file_cut_short_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "mine.npy"
    np.save(file, numbered())
    file.write_bytes(file.read_bytes()[:-1000])

    with pytest.raises(DataError, match=r"mine\.npy .*damaged"):
        array(file, in_memory=False)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(make: Make, tmp_path: Path) -> None:
    data = make()
    file = tmp_path / "mine.npy"
    file.write_bytes(file.read_bytes()[:2000])

    with pytest.raises(DataError, match="became shorter while it was read"):
        list(data.batches(0, 50))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": ["a"]}, r"columns=\[a\]: an array that stays on disk is used whole"),
        ({"label_column": "a"}, r"label_column=a is for tables"),
        ({"buffer_mb": 0}, r"buffer_mb=0: must be a number greater than 0"),
    ],
)
def test_settings_that_do_not_go_with_it_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    np.save(tmp_path / "mine.npy", numbered())

    with pytest.raises(ConfigError, match=message):
        array(tmp_path / "mine.npy", in_memory=False, **settings)


def test_only_an_npy_can_stay_on_disk(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", numbered())

    with pytest.raises(ConfigError, match=r"in_memory=false: only an \.npy"):
        array(tmp_path / "mine.npz", in_memory=False)


@pytest.mark.parametrize(("available", "stays"), [(10**9, False), (10**5, True)])
def test_by_default_it_stays_on_disk_where_memory_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int, stays: bool
) -> None:
    np.save(tmp_path / "mine.npy", numbered())
    monkeypatch.setattr("activae.data.sources.arrays.available_bytes", lambda: available)

    source = array(tmp_path / "mine.npy")

    assert isinstance(source.train, NpyRows) is stays
    assert ("Stays on disk" in source.note) is stays
