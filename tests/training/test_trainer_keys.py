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
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.module import AutoencoderModule, Interrupted

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


def test_splits_are_scored_every_so_many_epochs_and_at_the_end(
    settled: Compose, tmp_path: Path
) -> None:
    rare = ("trainer.max_epochs=5", "trainer.check_val_every_n_epoch=2", LIMITED[0])
    cfg, other = settled(*rare), settled(*rare, "seed=1")
    train(settled(*rare, "trainer.check_val_every_n_epoch=1"), tmp_path / "each")
    metrics = train(cfg, tmp_path / "run")
    train_stack([(cfg, tmp_path / "a"), (other, tmp_path / "b")])

    each, plain, stacked = (history(tmp_path / name) for name in ("each", "run", "a"))
    assert [row["epoch"] for row in plain] == ["1", "3", "4"]
    for row, same, theirs in zip(plain, [each[1], each[3], each[4]], stacked, strict=True):
        assert (row["SE/val"], row["step"]) == (same["SE/val"], same["step"])
        assert float(theirs["SE/val"]) == pytest.approx(float(row["SE/val"]), rel=1e-4)
        assert theirs["epoch"] == row["epoch"]
    first_two = (float(each[0]["loss/train"]) + float(each[1]["loss/train"])) / 2
    assert float(plain[0]["loss/train"]) == pytest.approx(first_two, rel=1e-5)
    assert metrics["best_epoch"] in (2, 4, 5)


def test_a_run_resumed_between_two_scored_epochs_ends_as_if_it_had_not_been(
    settled: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = settled("trainer.max_epochs=4", "trainer.check_val_every_n_epoch=4", LIMITED[0])
    train(cfg, tmp_path / "whole")
    take = AutoencoderModule._take_steps

    def until_step_3(self: AutoencoderModule, batches: Any) -> None:
        self.stop_requested = self.step >= 2
        take(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderModule, "_take_steps", until_step_3)
        with pytest.raises(Interrupted):
            train(cfg, tmp_path / "run")
    train(cfg, tmp_path / "run")

    assert history(tmp_path / "run") == history(tmp_path / "whole")


def test_patience_counts_scored_epochs(settled: Compose, tmp_path: Path) -> None:
    stuck = ("optimizer.lr=1e-30", "trainer.early_stopping_patience=1", "trainer.max_epochs=9")
    cfg = settled(*stuck, LIMITED[0], "trainer.check_val_every_n_epoch=2")

    assert train(cfg, tmp_path)["steps"] == 8


def test_accumulated_batches_are_one_larger_batch(settled: Compose) -> None:
    four = settled("trainer.accumulate_grad_batches=4", "data.batch_size=8")

    assert (four.data.batch_size, four.trainer.accumulate_grad_batches) == (32, None)
    assert job_id(four) == job_id(settled("data.batch_size=32"))
    limited = settled("trainer.accumulate_grad_batches=4", "trainer.limit_train_batches=6")
    assert limited.trainer.limit_train_batches == 2


@pytest.mark.parametrize("step", ["eager", "stacked"])
def test_gradients_are_clipped_by_value(settled: Compose, tmp_path: Path, step: str) -> None:
    tiny = ("trainer.gradient_clip_val=1e-3", "trainer.gradient_clip_algorithm=value")
    plain = ("optimizer=sgd", "optimizer.lr=1", "trainer.max_steps=1")
    cfg, other = (settled(*tiny, *plain, f"seed={seed}") for seed in (0, 1))
    if step == "stacked":
        train_stack([(cfg, tmp_path / "a"), (other, tmp_path / "b")])
    else:
        train(cfg, tmp_path / "a")

    before = build_model(cfg, build_data(cfg)).net.state_dict()
    after = load_checkpoint(tmp_path / "a" / LAST)["state_dict"]
    moved = torch.cat([(after[f"net.{k}"] - v).flatten().abs() for k, v in before.items()])
    assert moved.max() == pytest.approx(1e-3, rel=1e-3)
    assert (moved > 0.99e-3).sum() > 100  # within the norm's limit, none


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
        ("trainer.gradient_clip_algorithm=mean", "one of norm, value"),
        ("trainer.accumulate_grad_batches=0", "a whole number of 1 or more"),
        ("trainer.check_val_every_n_epoch=0", "a whole number of 1 or more"),
        ("trainer.val_check_interval=0.5", "trainer.check_val_every_n_epoch"),
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
