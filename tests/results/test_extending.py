"""A run that has ended trains on for longer, and another starts from its weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.config.identity import job_id
from activae.config.settling import settle
from activae.errors import ConfigError
from activae.results.run import train
from activae.sweeps.stack import train_stack
from activae.training.checkpoint import BEST, load_checkpoint

Compose = Callable[..., DictConfig]
TrainPy = Callable[..., Any]

QUICK = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "data.train_fraction=0.1")
CONSTANT = (*QUICK, "scheduler=constant")


@pytest.fixture(scope="module")
def two_epochs(compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended, with a rate that does not depend on its length."""
    folder = tmp_path_factory.mktemp("two") / "run"
    train(compose(*CONSTANT, "trainer.max_epochs=2"), folder)
    return folder


@pytest.fixture
def run(two_epochs: Path, tmp_path: Path) -> Path:
    shutil.copytree(two_epochs, tmp_path / "run")
    return tmp_path / "run"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_checkpoint(folder / BEST)["state_dict"]
    return state


def test_a_run_made_longer_is_one_that_was_so_from_the_start(
    run: Path, compose: Compose, train_py: TrainPy, tmp_path: Path
) -> None:
    outcome = train_py(f"resume={run}", "trainer.max_epochs=5")
    train(compose(*CONSTANT, "trainer.max_epochs=5"), tmp_path / "whole")

    assert outcome.code == 0, outcome.text
    assert "depends on the run's length" not in outcome.text
    found, wanted = (
        json.loads((f / "metrics.json").read_text()) for f in (run, tmp_path / "whole")
    )
    assert (found["test"], found["id"]) == (wanted["test"], wanted["id"])
    assert len((run / "history.csv").read_text().splitlines()) == 1 + 5
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(weights(run)[name], value)


def test_a_schedule_that_depends_on_the_length_is_told(
    compose: Compose, train_py: TrainPy, tmp_path: Path
) -> None:
    train(compose(*QUICK, "scheduler=cosine", "trainer.max_epochs=2"), tmp_path / "run")
    outcome = train_py("resume=run", "trainer.max_epochs=4")

    assert outcome.code == 0, outcome.text
    assert "scheduler=cosine" in outcome.text
    assert "depends on" in outcome.text


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["trainer.max_epochs=2"], "give more"),
        (["trainer.max_steps=3"], "give more"),
        (["trainer.max_epochs=9", "seed=1"], "init_from="),
        ([], "trainer.max_epochs=N"),
    ],
)
def test_what_makes_it_no_longer_is_refused_and_leaves_it_as_it_was(
    run: Path, train_py: TrainPy, overrides: list[str], said: str
) -> None:
    before = (run / "config.yaml").read_text()

    train_py(f"resume={run}", *overrides).assert_one_error(said)

    assert (run / "DONE").exists()
    assert (run / "config.yaml").read_text() == before


def test_a_run_of_a_sweep_or_that_diverged_or_has_phases_keeps_its_length(
    run: Path, train_py: TrainPy
) -> None:
    config = (run / "config.yaml").read_text()
    (run / "DONE").write_text("diverged\n")
    train_py(f"resume={run}", "trainer.max_epochs=5").assert_one_error("has ended (diverged)")

    (run / "DONE").write_text("completed\n")
    (run / "config.yaml").write_text(
        config.replace(
            "activae.training.phases.joint",
            "activae.training.phases.encoder_then_decoder\n  encoder_share: 0.5",
        )
    )
    train_py(f"resume={run}", "trainer.max_epochs=5").assert_one_error("phases")

    (run.parent / "sweep.json").write_text("{}")
    train_py(f"resume={run}", "trainer.max_epochs=5").assert_one_error("is a run of a sweep")


def test_a_run_starts_from_the_weights_of_another(
    run: Path, compose: Compose, tmp_path: Path
) -> None:
    frozen = (*CONSTANT, "trainer.max_epochs=1", f"init_from='{run}'", "freeze=encoder", "seed=5")
    train(compose(*frozen), tmp_path / "new")

    before, after = weights(run), weights(tmp_path / "new")
    for name, value in before.items():
        if name.startswith("net."):
            assert torch.equal(value, after[name]) == name.startswith("net.encoder.")


def test_a_resumed_run_needs_no_longer_what_it_started_from(
    run: Path, compose: Compose, tmp_path: Path, interrupt: Callable[..., None]
) -> None:
    cfg = compose(*CONSTANT, "trainer.max_epochs=2", f"init_from='{run}'")
    interrupt(cfg, tmp_path / "new", 3)
    shutil.rmtree(run)

    assert train(cfg, tmp_path / "new")["steps"] == 8


def test_members_of_a_stack_start_from_weights_too(
    run: Path, compose: Compose, tmp_path: Path
) -> None:
    still = (*CONSTANT, "trainer.max_epochs=1", "optimizer.lr=1e-30", f"init_from='{run}'")
    configs = [settle(compose(*still, f"seed={seed}")) for seed in (3, 4)]
    train_stack([(cfg, tmp_path / str(cfg.seed)) for cfg in configs])

    for cfg in configs:
        for name, value in weights(run).items():
            assert torch.allclose(weights(tmp_path / str(cfg.seed))[name], value), name


def test_weights_of_another_network_are_refused_by_the_name_of_what_differs(
    run: Path, compose: Compose, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"another network: its encoder\.\S+ is \(8, 32\)"):
        train(compose(*QUICK, f"init_from='{run}'", "encoding.dim=5"), tmp_path / "new")


def test_other_weights_make_another_run_and_none_the_same(
    run: Path, compose: Compose, tmp_path: Path
) -> None:
    def id_of(*overrides: str) -> str:
        return job_id(settle(compose(*QUICK, *overrides)))

    shutil.copytree(run, tmp_path / "copy")
    ids = [id_of(f"init_from='{tmp_path / name}'") for name in ("run", "copy")]

    assert ids[0] == ids[1]
    assert len({id_of(), ids[0], id_of("freeze=encoder")}) == 3
