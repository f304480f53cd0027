"""The configs of a sweep's jobs are those that Hydra composes, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from activae.config import names, schema
from activae.sweeps.composing import compose_jobs

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def loader() -> Iterator[ConfigLoader]:
    schema.register()
    names.register()
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture
def master(loader: ConfigLoader) -> DictConfig:
    sweep = ["activation=relu,tanh", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=${hydra.job.num}"]
    return loader.load_configuration("train", sweep, run_mode=RunMode.MULTIRUN)


JOBS = [
    ["activation=relu", "seed=0"],
    ["activation=relu", "seed=1"],
    ["activation=tanh", "seed=1"],
    ["activation=tanh", "seed=2", "optimizer.lr=0.5"],
    ["activation=tanh", "seed=3", "optimizer.lr=1e-4"],
    ["activation=leaky_relu", "activation.negative_slope=0.2", "encoder.hidden=[4,2]"],
    ["activation=leaky_relu", "activation.negative_slope=0.3", "encoder.hidden=[3]"],
    ["+optimizer.amsgrad=true", "seed=4"],
    ["+optimizer.amsgrad=false", "seed=4"],
    ["activation@encoder.activation=gelu", "data.path='a=b'"],
    ["activation@encoder.activation=gelu", "data.path='c d'"],
    ["~objective.l1", "seed=4"],
    ["hydra.job.name=other", "seed=4"],
    ["hydra.job.name=another", "seed=4"],
]


def test_every_job_is_composed_as_hydra_would(loader: ConfigLoader, master: DictConfig) -> None:
    found = list(compose_jobs(loader, master, JOBS, first=5))

    for number, (overrides, config) in enumerate(zip(JOBS, found, strict=True), start=5):
        expected = loader.load_sweep_config(master, overrides)
        with open_dict(expected):
            expected.hydra.job.id = expected.hydra.job.num = number
            expected.hydra.sweep.dir = "sweep"
        assert OmegaConf.to_container(config, resolve=False) == OmegaConf.to_container(
            expected, resolve=False
        ), overrides


def test_jobs_that_differ_in_values_are_composed_once(
    loader: ConfigLoader, master: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed = []
    load = loader.load_sweep_config
    monkeypatch.setattr(
        loader, "load_sweep_config", lambda *args: composed.append(args) or load(*args)
    )

    jobs = [["activation=" + name, f"seed={seed}"] for name in ("relu", "tanh") for seed in "01234"]
    assert len(list(compose_jobs(loader, master, jobs, first=0))) == 10

    assert len(composed) == 2


@pytest.mark.parametrize("wrong", ["seed=x", "optimizer.lrr=1", "activation=thanh", "sed=1"])
def test_an_override_that_hydra_refuses_is_refused(
    wrong: str, loader: ConfigLoader, master: DictConfig
) -> None:
    with pytest.raises((HydraException, OmegaConfBaseException)):
        list(compose_jobs(loader, master, [["seed=0"], [wrong]], first=0))
