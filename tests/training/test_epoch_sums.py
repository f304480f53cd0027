"""Means over an epoch, also on a device that knows no float64, as Apple's MPS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from activae.config import devices
from activae.data.normalisation import Normalisation
from activae.training.epoch_sums import Sums

META = torch.device("meta")


class NoFloat64(TorchDispatchMode):
    """Has the device `meta` refuse float64, in MPS's words."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.device == META and made.dtype == torch.float64:
            raise TypeError("the MPS framework doesn't support float64")
        return made


@pytest.fixture
def without_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(devices, "_WITHOUT_FLOAT64", ("meta",))
    with NoFloat64():
        yield


def test_each_value_counts_with_its_batch() -> None:
    sums = Sums()
    sums.add({"loss": torch.tensor([1.0, 2.0])}, [32, 8])
    sums.add({"loss": torch.tensor([4.0])}, [10])

    assert sums.sums["loss"].dtype == torch.float64
    assert sums.take() == {"loss": (32 + 16 + 40) / 50}


@pytest.mark.usefixtures("without_float64")
def test_sums_are_single_where_the_device_knows_no_float64() -> None:
    before = Sums()
    before.add({"loss": torch.ones(2)}, [32, 8])  # as a checkpoint from a CPU holds it
    sums = Sums()
    sums.load({"sums": {"loss": before.sums["loss"].clone()}, "samples": 40})

    sums.add({"loss": torch.ones(3, device=META)}, [32, 32, 8])
    stacked = Sums.stacked([before, Sums()], META)
    stacked.add({"loss": torch.ones(3, 2, device=META)}, torch.tensor([32, 8]))

    assert (sums.sums["loss"].device, sums.sums["loss"].dtype) == (META, torch.float32)
    assert (stacked.sums["loss"].shape, stacked.sums["loss"].dtype) == ((2,), torch.float32)


def test_time_stamps_come_back_where_the_device_knows_no_float64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stamps = torch.tensor([[1.7e9], [1.7e9 + 159]], dtype=torch.float64)
    normalisation = Normalisation(stamps[0] + 0.5, torch.tensor([159.0]), (0.0, 1.0))
    expected = normalisation.inverse(normalisation(stamps))

    monkeypatch.setattr(devices, "_WITHOUT_FLOAT64", ("cpu",))

    assert torch.equal(normalisation.inverse(normalisation(stamps)), expected)
    torch.testing.assert_close(expected, stamps, rtol=0, atol=1e-3)
