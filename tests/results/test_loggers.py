"""Loggers beside TensorBoard's: by name, several, one's own; in a run, a sweep, a stack."""

from __future__ import annotations

from collections.abc import Callable
from csv import DictReader
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from activae.config.identity import job_id
from activae.config.settling import settle
from activae.errors import ConfigError
from activae.results.run import train
from activae.sweeps.stack import train_stack, why_not_stackable
from activae.training.assembly import build_data, build_model
from activae.training.restoring import load_network

Compose = Callable[..., DictConfig]

QUICK = ("trainer=cpu", "data.train_fraction=0.1", "trainer.max_epochs=3")
MINE = "+logger.others.mine._target_=my_logger.Mine"
MODULE = """
import json
from pathlib import Path
from pytorch_lightning.loggers import Logger

class Client:
    def finish(self): print("finished")

class Mine(Logger):
    name = version = "mine"
    def __init__(self, save_dir: str, run_name: str | None = None):
        super().__init__()
        self.file, self.run_name, self.experiment = Path(save_dir, "told"), run_name, Client()
    def tell(self, *words):
        with self.file.open("a") as file:
            file.write(json.dumps(words) + "\\n")
    def log_metrics(self, metrics, step=None): self.tell(step, sorted(metrics))
    def log_hyperparams(self, params, *_, **__): self.tell(self.run_name, params["activation"])

class NoLogger: ...
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_logger.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
def settled(compose: Compose) -> Compose:
    return lambda *overrides: settle(compose(*QUICK, "logger.progress_bar=false", *overrides))


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as lines:
        return list(DictReader(lines))


def assert_as_history(folder: Path) -> None:
    """metrics.csv has the figures of history.csv, a line an epoch."""
    ours, theirs = rows(folder / "history.csv"), rows(folder / "metrics.csv")
    assert len(ours) == len(theirs) == 3
    for key in ("step", "SE/val", "SE/train", "loss/val", "lr"):
        assert [float(row[key]) for row in theirs] == pytest.approx([float(r[key]) for r in ours])


def test_csv_has_a_line_an_epoch(settled: Compose, tmp_path: Path) -> None:
    train(settled("logger=csv"), tmp_path / "run")

    assert_as_history(tmp_path / "run")
    assert not [*(tmp_path / "run").glob("events.*"), *(tmp_path / "run").glob("hparams.yaml")]
    load_network(tmp_path / "run")


def test_several_are_a_list(settled: Compose, tmp_path: Path) -> None:
    train(settled("logger=[tensorboard,csv]"), tmp_path / "run")

    assert_as_history(tmp_path / "run")
    assert [*(tmp_path / "run").glob("events.*")]


def test_csv_in_a_stack(settled: Compose, tmp_path: Path) -> None:
    configs = [settled("logger=[tensorboard,csv]", f"seed={seed}") for seed in (0, 1)]
    train_stack([(cfg, tmp_path / str(cfg.seed)) for cfg in configs])

    for cfg in configs:
        assert_as_history(tmp_path / str(cfg.seed))


def test_csv_of_a_resumed_run_is_whole(
    settled: Compose, tmp_path: Path, interrupt: Callable[..., None]
) -> None:
    cfg = settled("logger=csv")
    interrupt(cfg, tmp_path / "run", 9)
    train(cfg, tmp_path / "run")

    assert_as_history(tmp_path / "run")


def test_ones_own_is_told_what_the_run_is_and_its_figures_and_closed(
    settled: Compose, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = settled("logger=minimal", MINE, "trainer.max_epochs=1")
    train(cfg, tmp_path / "run")

    first, second = (tmp_path / "run" / "told").read_text().splitlines()
    assert first == '["run", "ReLU"]'
    assert second.startswith('[4, ["SE/train", "SE/val"')
    assert "finished" in capfd.readouterr().out
    load_network(tmp_path / "run")  # which makes no logger
    assert job_id(cfg) == job_id(settled("logger=minimal", "trainer.max_epochs=1"))


def test_a_run_whose_logger_may_have_but_one_is_trained_singly(settled: Compose) -> None:
    def reason(*overrides: str) -> Any:
        cfg = settled(*overrides)
        return why_not_stackable(cfg, build_model(cfg, build_data(cfg)))

    assert reason("logger=csv") is None
    assert reason("logger=minimal", MINE).startswith("logger.others=mine")


def test_a_sweep_takes_ones_own(train_py: Callable[..., Any], tmp_path: Path) -> None:
    outcome = train_py("-m", "sweep=s", "trainer=debug", "logger=minimal", "seed=0,1", MINE)

    assert outcome.code == 0, outcome.text
    told = [file.read_text().splitlines() for file in tmp_path.glob("outputs/sweeps/s/*/told")]
    assert [lines[0] for lines in sorted(told)] == ['["seed=0", "relu"]', '["seed=1", "relu"]']


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_service_whose_package_is_missing_is_found_before_anything_starts(
    name: str, settled: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activae.config.settling.find_spec", lambda package: None)
    with pytest.raises(ConfigError, match=rf"logger={name}: needs {name}: pip install .activae\["):
        settled(f"logger={name}")


def test_one_that_is_there_is_accepted(settled: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activae.config.settling.find_spec", lambda package: package)
    cfg = settled("logger=[tensorboard,wandb]", "+logger.others.wandb.tags=[a]")

    assert (cfg.logger.tensorboard, cfg.logger.others.wandb.project) == (True, "activae")


def test_without_the_group_nothing_is_logged_but_the_history(settled: Compose) -> None:
    assert not settled("~logger").logger.tensorboard


def test_what_is_no_logger_is_named(settled: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"logger.others.mine=3: has no _target_"):
        settled("+logger.others.mine=3")
    with pytest.raises(ConfigError, match=r"logger.others.mine: makes a NoLogger"):
        train(settled("+logger.others.mine._target_=my_logger.NoLogger"), tmp_path / "run")


def test_a_strangers_run_does_not_choose_where_it_is_logged(
    settled: Compose, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    train(settled("logger=csv", f"+logger.others.csv.save_dir={elsewhere}"), tmp_path / "run")

    assert not elsewhere.exists()
    assert (tmp_path / "run" / "metrics.csv").exists()
