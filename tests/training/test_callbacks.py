"""A callback of the user's own works in a plain run, in the pool and in a stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from activae.config.settling import settle
from activae.errors import ConfigError
from activae.results.run import train
from activae.sweeps.stack import stack_key, train_stack, why_not_stackable
from activae.training.assembly import build_data, build_model

Compose = Callable[..., DictConfig]

QUICK = ("trainer=cpu", "logger=minimal", "data.train_fraction=0.1", "trainer.max_epochs=3")
MINE = "+callbacks.mine._target_=my_callbacks.Mine"
MODULE = """
import os
import pytorch_lightning as pl


class Mine(pl.Callback):
    def __init__(self, stop_at: int = 99) -> None:
        self.stop_at = stop_at

    def tell(self, what: str) -> None:
        with open(os.environ["TOLD"], "a") as file:
            file.write(what + "\\n")

    def on_train_start(self, trainer, model) -> None:
        self.tell(f"start {model.step}")

    def on_train_epoch_end(self, trainer, model) -> None:
        self.tell(f"epoch {model.row['epoch']}")
        trainer.should_stop = model.row["epoch"] == self.stop_at

    def on_fit_end(self, trainer, model) -> None:
        self.tell(f"end {model.step}")

    def on_exception(self, trainer, model, exception) -> None:
        self.tell(type(exception).__name__)


class OfBatches(Mine):
    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx) -> None:
        self.tell("batch")
"""
TOLD = ["start 0", "epoch 0", "epoch 1", "end 8"]


@pytest.fixture(autouse=True)
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the callback was called with, in the order of the calls."""
    (tmp_path / "my_callbacks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    return lambda: (tmp_path / "told").read_text().splitlines()


@pytest.fixture
def settled(compose: Compose) -> Compose:
    return lambda *overrides: settle(compose(*QUICK, "logger.progress_bar=false", *overrides))


def test_in_a_plain_run(settled: Compose, told: Callable[[], list[str]], tmp_path: Path) -> None:
    metrics = train(settled(MINE, "+callbacks.mine.stop_at=1"), tmp_path / "run")

    assert told() == TOLD
    assert metrics["steps"] == 8


def test_in_a_stack(settled: Compose, told: Callable[[], list[str]], tmp_path: Path) -> None:
    configs = [settled(MINE, "+callbacks.mine.stop_at=1", f"seed={seed}") for seed in (0, 1)]

    outcomes = train_stack([(cfg, tmp_path / str(cfg.seed)) for cfg in configs])

    assert sorted(told()) == sorted(2 * TOLD)
    assert [outcome["steps"] for outcome in outcomes] == [8, 8]  # type: ignore[index]


def test_in_the_pool(
    train_py: Callable[..., Any], told: Callable[[], list[str]], tmp_path: Path
) -> None:
    swept = train_py(
        "-m", "sweep=s", *QUICK, MINE, "+callbacks.mine.stop_at=1", "hydra.launcher.workers=1"
    )

    assert swept.code == 0, swept.text
    assert told() == TOLD


def test_it_is_told_of_an_exception(
    settled: Compose, told: Callable[[], list[str]], tmp_path: Path
) -> None:
    wild = settled(MINE, "optimizer=sgd", "optimizer.lr=1e30")

    train_stack([(wild, tmp_path / "stacked")])
    with pytest.raises(Exception, match="diverged"):
        train(wild, tmp_path / "plain")

    assert told() == 2 * ["start 0", "Diverged"]


def test_a_hook_that_a_stack_cannot_call_is_named(settled: Compose) -> None:
    cfg = settled(MINE.replace("Mine", "OfBatches"))

    reason = str(why_not_stackable(cfg, build_model(cfg, build_data(cfg))))

    assert "callbacks: OfBatches.on_train_batch_end is no hook that a stack calls" in reason
    assert stack_key(cfg) != stack_key(settled(MINE))


def test_what_is_no_callback_is_refused(settled: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.mine: makes a ReLU, not a pytorch_li"):
        train(settled("+callbacks.mine._target_=torch.nn.ReLU"), tmp_path / "run")


def test_a_resumed_run_calls_only_trusted_ones(
    train_py: Callable[..., Any], told: Callable[[], list[str]], tmp_path: Path
) -> None:
    first = train_py(*QUICK, MINE, "hydra.run.dir=run")
    assert first.code == 0, first.text
    (tmp_path / "run" / "DONE").unlink()

    refused = train_py("resume=run")
    trusted = train_py("resume=run", "trusted_modules=[my_callbacks]")

    assert refused.code != 0
    assert "callbacks.mine._target_=my_callbacks.Mine" in refused.text
    assert trusted.code == 0, trusted.text


LIGHTNINGS = "pytorch_lightning.callbacks"


def test_lightnings_own_find_the_epochs_figures(settled: Compose, tmp_path: Path) -> None:
    stop = (f"+callbacks.stop._target_={LIGHTNINGS}.EarlyStopping", "+callbacks.stop.patience=1")
    cfg = settled(*stop, "+callbacks.stop.monitor=SE/val", "optimizer.lr=1e-30")

    assert train(cfg, tmp_path / "run")["steps"] == 8  # of 12: the second epoch is no better


def test_a_figure_that_is_none_is_told_beside_those_there_are(
    settled: Compose, tmp_path: Path
) -> None:
    stop = f"+callbacks.stop._target_={LIGHTNINGS}.EarlyStopping"
    cfg = settled(stop, "+callbacks.stop.monitor=val_loss")

    with pytest.raises(ConfigError, match=r"callbacks: stop: .*val_loss.*SE/val"):
        train(cfg, tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("ModelCheckpoint", "checkpoints/"),
        ("StochasticWeightAveraging(swa_lrs=0.1)", "scheduler"),
        ("GradientAccumulationScheduler(scheduling={0: 2})", "data.batch_size"),
        ("LearningRateFinder", "experiment=tune_lr"),
    ],
)
def test_those_that_would_do_nothing_say_what_does(
    settled: Compose, tmp_path: Path, name: str, instead: str
) -> None:
    kind, _, parameters = name.rstrip(")").partition("(")
    lines = [f"+callbacks.it._target_={LIGHTNINGS}.{kind}"]
    lines += [f"+callbacks.it.{parameters}"] if parameters else []

    with pytest.raises(ConfigError, match=rf"callbacks.it: {kind} does nothing here.*{instead}"):
        train(settled(*lines), tmp_path / "run")


def test_what_lightning_says_of_one_is_no_traceback(settled: Compose, tmp_path: Path) -> None:
    cfg = settled(f"+callbacks.lr._target_={LIGHTNINGS}.LearningRateMonitor")

    with pytest.raises(ConfigError, match=r"callbacks: lr: Cannot use .* no logger"):
        train(cfg, tmp_path / "run")
