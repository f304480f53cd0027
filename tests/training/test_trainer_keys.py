"""Keys of Lightning's Trainer under `trainer`: honoured as its users expect, or told what is."""

from __future__ import annotations

from collections.abc import Callable
from csv import DictReader
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.config.identity import identity, job_id
from activae.config.settling import settle
from activae.results.run import train
from activae.sweeps.stack import train_stack, why_not_stackable
from activae.training.assembly import build_data, build_model

Compose = Callable[..., DictConfig]

LIMITED = ("trainer.limit_train_batches=2", "trainer.limit_val_batches=3")


@pytest.fixture
def settled(compose: Compose) -> Compose:
    quick = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_epochs=3")
    return lambda *overrides: settle(compose(*quick, *overrides))


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in DictReader(file)]


def test_an_epoch_takes_the_first_batches_of_its_order(settled: Compose) -> None:
    whole, limited = (build_data(settled()) for _ in range(2))
    build_model(settled(*LIMITED), limited)

    assert limited.steps_per_epoch == 2
    first, second = ([*data.batches(0, 4)] for data in (whole, limited))
    start = whole.steps_per_epoch
    second_epoch = [*whole.batches(start, start + 2)]
    assert all(map(torch.equal, second, [*first[:2], *second_epoch]))


@pytest.mark.parametrize(
    ("limit", "steps"), [("0.1", 4), ("1e-9", 1), ("1.0", 40), ("7", 7), ("999", 40)]
)
def test_a_limit_is_a_number_of_batches_or_a_share_of_them(
    settled: Compose, limit: str, steps: int
) -> None:
    cfg = settled(f"trainer.limit_train_batches={limit}")
    data = build_data(cfg)
    model = build_model(cfg, data)

    assert (data.steps_per_epoch, model.total_steps) == (steps, 3 * steps)


def test_limits_hold_in_a_run_and_in_a_stack(settled: Compose, tmp_path: Path) -> None:
    cfg, other = settled(*LIMITED), settled(*LIMITED, "seed=1")
    metrics = train(cfg, tmp_path / "run")
    train_stack([(cfg, tmp_path / "a"), (other, tmp_path / "b")])

    assert metrics["steps"] == 6
    plain, stacked = history(tmp_path / "run"), history(tmp_path / "a")
    assert len(plain) == 3
    for ours, theirs in zip(plain, stacked, strict=True):
        found = {key: float(value) for key, value in theirs.items()}
        assert found == pytest.approx({key: float(v) for key, v in ours.items()}, rel=1e-4)
    assert float(plain[-1]["SE/val"]) != pytest.approx(metrics["val"]["SE"])  # of 3 batches, of all


def test_fast_dev_run_is_so_many_steps(settled: Compose) -> None:
    assert settled("trainer.fast_dev_run=true").trainer.max_steps == 1
    few = settled("trainer.fast_dev_run=3").trainer
    assert (few.max_steps, few.limit_val_batches) == (3, 3)
    assert settled("trainer.fast_dev_run=false").trainer.max_steps is None


def test_a_run_ends_when_its_time_is_up_but_not_before_min_epochs(
    settled: Compose, tmp_path: Path
) -> None:
    long = ("trainer.max_epochs=9", "trainer.max_time={seconds: 1e-6}", *LIMITED)
    assert train(settled(*long), tmp_path / "one")["steps"] == 2
    assert train(settled(*long, "trainer.min_epochs=4"), tmp_path / "four")["steps"] == 8


def test_patience_waits_for_min_epochs(settled: Compose, tmp_path: Path) -> None:
    stuck = ("optimizer.lr=1e-30", "trainer.early_stopping_patience=1", "trainer.max_epochs=9")
    cfg = settled(*stuck, *LIMITED, "trainer.min_epochs=5")

    assert train(cfg, tmp_path)["steps"] == 10


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("00:00:01:30", 90), ("01:00:00:00", 86400), ("{hours: 1, minutes: 30}", 5400)],
)
def test_a_time_is_written_as_lightning_has_it(
    settled: Compose, given: str, seconds: float
) -> None:
    from activae.config.trainer_keys import seconds_of

    assert seconds_of(settled(f"trainer.max_time={given}").trainer.max_time) == seconds


def test_what_lightning_does_with_one_run_is_passed_on_and_undone(
    settled: Compose, tmp_path: Path
) -> None:
    cfg = settled("trainer.deterministic=true", "trainer.profiler=simple", "trainer.max_steps=1")
    train(cfg, tmp_path)

    assert "run_training_batch" in (tmp_path / "fit-profile.txt").read_text()
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    "key", ["deterministic=true", "benchmark=true", "profiler=simple", "log_every_n_steps=5"]
)
def test_a_run_that_needs_lightnings_trainer_is_trained_singly(settled: Compose, key: str) -> None:
    cfg = settled(f"trainer.{key}")
    reason = why_not_stackable(cfg, build_model(cfg, build_data(cfg)))

    assert reason is not None
    assert reason.startswith(f"trainer.{key.partition('=')[0]}=")
    assert job_id(cfg) == job_id(settled())  # the results are the same


def test_keys_that_are_not_set_leave_a_run_what_it_was_before_there_were_any(
    settled: Compose,
) -> None:
    kept: Any = identity(settled())["trainer"]

    assert set(kept) <= {"max_epochs", "max_steps", "precision", "gradient_clip_val"} | {
        "early_stopping_patience",
        "detect_anomaly",
    }
    assert job_id(settled("trainer.limit_train_batches=2")) != job_id(settled())


@pytest.mark.parametrize(("short", "long"), [("32", "32-true"), ("64", "64-true")])
def test_short_names_of_precisions_are_lightnings(settled: Compose, short: str, long: str) -> None:
    assert settled(f"trainer.precision={short}").trainer.precision == long


@pytest.mark.parametrize(
    ("override", "instead"),
    [
        ("+trainer.ckpt_path=a", "resume=RUN"),
        ("trainer.enable_progress_bar=false", "logger.progress_bar=false"),
        ("trainer.accumulate_grad_batches=4", "data.batch_size"),
        ("trainer.gradient_clip_algorithm=value", "trainer.gradient_clip_val"),
        ("trainer.check_val_every_n_epoch=5", "trainer.limit_val_batches"),
        ("trainer.overfit_batches=1", "trainer.limit_train_batches"),
        ("trainer.num_nodes=2", "hydra/launcher=slurm"),
        ("trainer.precision=16-mixed", "bf16-mixed"),
        ("trainer.limit_train_batches=0", "a share of them"),
        ("trainer.limit_val_batches=1.5", "a share of them"),
        ("trainer.max_time=12", "00:01:30:00"),
        ("trainer.profiler=mine", "simple, advanced, pytorch"),
    ],
)
def test_what_is_not_taken_says_what_does_its_work(
    complaint: Callable[..., str], override: str, instead: str
) -> None:
    said = complaint(override)

    assert said.startswith(override.lstrip("+").partition("=")[0])
    assert instead in said
