"""What is refused of a run that asks for several devices, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig

from activae.config.devices import device_count
from activae.config.identity import job_id
from activae.config.settling import settle
from activae.errors import ConfigError
from activae.training.assembly import build_data, build_model
from activae.training.parallel.fleet import refuse_unsuited

Compose = Callable[..., DictConfig]

REFUSED = {
    "trainer.devices=0: must be a whole number of 1 or more": ("trainer.devices=0",),
    "trainer.strategy=fsdp: must be one of auto, ddp": ("trainer.strategy=fsdp",),
    "trainer.devices=-1: takes every GPU, and this run is on the CPU": ("trainer.devices=-1",),
    "trainer.compile=true: does not go with trainer.devices=2": (
        "trainer.devices=2",
        "trainer.compile=true",
    ),
    "data.batch_size=2: a batch is shared by 3 devices": ("trainer.devices=3", "data.batch_size=2"),
}
UNSUITED = {
    "regulariser=kl_sparse": ("regulariser=kl_sparse",),
    "normalisation=batch": ("encoder.normalisation=batch",),
}


@pytest.mark.parametrize(("message", "overrides"), REFUSED.items())
def test_what_cannot_work_is_refused(
    message: str, overrides: tuple[str, ...], complaint: Callable[..., str]
) -> None:
    assert message in complaint(*overrides)


@pytest.mark.parametrize(("message", "overrides"), UNSUITED.items())
def test_figures_of_a_whole_batch_are_refused(
    message: str, overrides: tuple[str, ...], compose: Compose
) -> None:
    cfg = settle(compose("trainer=ddp", *overrides))
    model = build_model(cfg, build_data(cfg))

    with pytest.raises(ConfigError, match=message):
        refuse_unsuited(model)


def test_more_gpus_than_there_are(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    with pytest.raises(ConfigError, match=r"trainer\.devices=3: torch finds 2 GPU"):
        settle(compose("trainer=multi_gpu", "trainer.devices=3"))
    assert device_count(settle(compose("trainer=multi_gpu")).trainer) == 2


def test_several_devices_imply_ddp(compose: Compose) -> None:
    assert device_count(settle(compose("trainer=cpu", "trainer.devices=2")).trainer) == 2


def test_the_devices_are_no_part_of_what_a_run_is(compose: Compose) -> None:
    assert job_id(settle(compose("trainer=ddp"))) == job_id(settle(compose("trainer=cpu")))


@pytest.mark.parametrize("launcher", [(), ("hydra/launcher=basic",)])
def test_a_multirun_is_refused_before_anything_trains(
    launcher: tuple[str, ...], train_py: Callable[..., object], tmp_path: object
) -> None:
    outcome = train_py("-m", "trainer=ddp", "activation=relu,tanh", *launcher)

    assert outcome.code == 1  # type: ignore[attr-defined]
    text = " ".join(outcome.text.split())  # type: ignore[attr-defined]
    assert (
        "trainer.strategy=ddp trainer.devices=2: a sweep gives each device runs of its own" in text
    )
    assert "trainer=auto" in text
    assert "Traceback" not in text
    assert not list(tmp_path.rglob("history.csv"))  # type: ignore[attr-defined]


def test_torchrun_is_refused(
    train_py: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")

    train_py("trainer=ddp").assert_one_error(  # type: ignore[attr-defined]
        "WORLD_SIZE=2", "torchrun", "trainer=ddp trainer.devices=2"
    )


def test_double_precision_is_refused_on_apples_gpu(
    complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

    said = complaint("trainer.precision=64-true", "trainer.accelerator=auto")

    assert "trainer.precision=64-true: Apple's MPS knows no float64; add trainer=cpu" in said
