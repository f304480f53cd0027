"""Pictures of 0 and 1, drawn with the probabilities that grey values are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from activae.data import array, binarised, digits, layout, natural_patches
from activae.data.binarising import fixed_draw, fresh_draw
from activae.data.module import AutoencoderDataModule
from activae.errors import ConfigError, DataError

Make = Callable[..., AutoencoderDataModule]
STAGES = ("train", "val", "test")


def of_digits(kind: str | None, **settings: Any) -> AutoencoderDataModule:
    data = AutoencoderDataModule(partial(digits, kind), **settings)
    data.setup()
    return data


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A DataModule on grey images of 4 x 5 in a file, read in many small blocks."""
    monkeypatch.setattr(layout, "SMALL_FILE_BYTES", 0)
    random = np.random.default_rng(0)

    def made(values: Any = None, **of_source: Any) -> AutoencoderDataModule:
        file = tmp_path / "grey.npy"
        np.save(file, random.integers(0, 256, (600, 4, 5), "u1") if values is None else values)
        settings = {"value_range": [0, 255], "buffer_mb": 0.005, "binarise": "dynamic"}
        data = AutoencoderDataModule(partial(array, file, **settings | of_source))
        data.setup()
        return data

    return made


def trained_on(data: AutoencoderDataModule, first: int = 0, steps: int = 1) -> Tensor:
    return torch.cat([*data.batches(first, first + steps)])


def test_arrays_are_drawn_as_tensors_are_by_what_the_docs_import() -> None:
    from activae.data import fixed_draw

    grey = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    grey.flags.writeable = False

    drawn = fixed_draw(grey, (0, 255))

    assert isinstance(drawn, np.ndarray)
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, fixed_draw(torch.tensor(grey), (0, 255)).numpy())


def test_a_value_is_the_probability_of_a_one() -> None:
    grey = torch.tensor([0, 64, 128, 255], dtype=torch.uint8).expand(20_000, 4)

    drawn = fixed_draw(grey, (0, 255))

    assert drawn.dtype == torch.uint8
    assert drawn.unique().tolist() == [0, 255]
    shares = (drawn == 255).float().mean(0)
    assert shares.tolist() == pytest.approx([0, 64 / 255, 128 / 255, 1], abs=0.015)
    assert shares[[0, 3]].tolist() == [0, 1]


def test_patches_are_drawn_too_and_test_patches_by_a_draw_of_their_own() -> None:
    grey, drawn = (natural_patches(12, 200, 1, 0, kind) for kind in (None, "static"))

    assert drawn.binarise == "static"
    for part, grey_part in ((drawn.train, grey.train), (drawn.test, grey.test)):
        assert isinstance(part, Tensor)
        assert part.unique().tolist() == [0, 255]
        assert (
            torch.corrcoef(torch.stack([part.flatten(), grey_part[:].flatten()]).float())[0, 1]
            > 0.4
        )


def test_a_draw_made_once_goes_by_the_samples_place_alone() -> None:
    grey = torch.rand(300, 3, 7, generator=torch.Generator().manual_seed(0))

    whole = fixed_draw(grey, (0, 1))

    parts = [fixed_draw(grey[:130], (0, 1)), fixed_draw(grey[130:], (0, 1), 130)]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(fixed_draw(whole, (0, 1)), whole)
    assert not torch.equal(fixed_draw(grey, (0, 1), part="test"), whole)


def test_the_draw_made_once_is_the_same_in_every_version() -> None:
    drawn = fixed_draw(torch.full((3, 10), 0.5), (0, 1))

    assert ["".join(str(int(bit)) for bit in row) for row in drawn] == [
        "1100111100",
        "0101010010",
        "1110101000",
    ]


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_what_is_scored_does_not_depend_on_the_split_or_the_seed(kind: str) -> None:
    first, other = of_digits(kind), of_digits(kind, split_seed=5, seed=7)
    grey = of_digits(None), of_digits(None, split_seed=5)

    drawn = [torch.cat([data.samples[stage] for stage in STAGES]) for data in (first, other)]
    shown = [torch.cat([data.samples[stage] for stage in STAGES]) for data in grey]

    assert drawn[0].unique().tolist() == [0, 1]
    in_order = [torch.cat([x, y], 1).flatten(1).unique(dim=0) for x, y in zip(shown, drawn)]  # noqa: B905
    assert torch.equal(*in_order)


def test_static_and_dynamic_differ_in_training_alone() -> None:
    static, dynamic = of_digits("static"), of_digits("dynamic")

    for stage in STAGES:
        assert torch.equal(static.samples[stage], dynamic.samples[stage])
    assert static.spec.binarise == "static"
    assert torch.equal(trained_on(static), static.samples["train"][_order(static)])
    assert not torch.equal(trained_on(dynamic), trained_on(static))


def _order(data: AutoencoderDataModule) -> Tensor:
    return next(iter(data.chunks(0, 1)))[: data.batch_size]


def test_a_dynamic_draw_goes_by_seed_and_step() -> None:
    data, other = of_digits("dynamic"), of_digits("dynamic", seed=1)
    row = torch.zeros(40, dtype=torch.long)

    first = data.training_rows(row, 0)

    assert torch.equal(data.training_rows(row, 0), first)
    assert not torch.equal(data.training_rows(row, 1), first)
    assert not torch.equal(other.training_rows(row, 0), first)
    many = torch.cat([data.training_rows(row, step) for step in range(100)])
    grey = of_digits(None).samples["train"][:1]
    torch.testing.assert_close(many.mean(0, keepdim=True), grey, rtol=0, atol=0.04)


def test_precision_does_not_change_a_draw() -> None:
    grey = torch.rand(50, 6, generator=torch.Generator().manual_seed(0))

    assert torch.equal(fresh_draw(grey.double(), 0, 3).float(), fresh_draw(grey, 0, 3))


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_on_disk_the_draws_are_those_in_memory(kind: str, make: Make) -> None:
    values = np.random.default_rng(1).integers(0, 256, (600, 4, 5), "u1")
    on_disk, in_memory = (make(values, in_memory=here, binarise=kind) for here in (False, True))

    assert on_disk.on_disk
    assert not in_memory.on_disk
    for stage in STAGES:
        assert torch.equal(on_disk.samples[stage][:], in_memory.samples[stage])
    for first, steps in ((0, 3), (on_disk.steps_per_epoch + 2, 2)):
        assert torch.equal(trained_on(on_disk, first, steps), trained_on(in_memory, first, steps))
    assert on_disk.spec == in_memory.spec


def test_arrays_in_memory_can_be_drawn_too() -> None:
    x = torch.rand(50, 6, generator=torch.Generator().manual_seed(0))

    data = AutoencoderDataModule.from_arrays(x, value_range=(0, 1), binarise="dynamic")

    assert trained_on(data).unique().tolist() == [0, 1]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(("bad", "named"), [(300, "outside the declared"), (np.nan, "NaN")])
def test_grey_values_are_checked_before_they_are_drawn(
    in_memory: bool, bad: float, named: str, make: Make
) -> None:
    values = np.random.default_rng(1).integers(0, 256, (600, 4, 5)).astype("f4")
    values[70, 0, 0] = bad

    with pytest.raises(DataError, match=named):
        make(values, in_memory=in_memory)


def test_what_it_cannot_draw_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"binarise=yes: choose static or dynamic, or null"):
        binarised(digits(), "yes")
    with pytest.raises(ConfigError, match=r"binarise=static: .* declare them, as data\.value_ra"):
        make(value_range=None, binarise="static")
    with pytest.raises(ConfigError, match=r"data\.normalisation=standardise .* take data\.normal"):
        of_digits("static", normalisation="standardise")
