"""Stacks that are interrupted, cut off or too large, and how they go on."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.results.run import train
from activae.results.run_folder import DONE
from activae.sweeps.stack import train_stack
from activae.sweeps.stack.member import Member
from activae.sweeps.stack.stack import Stack
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.module import Interrupted

Settled = Callable[..., DictConfig]
Interrupt = Callable[[DictConfig, Path, int], None]
STEPS_PER_EPOCH = 4
# Left at every other epoch, for no error falls by so much.
PLATEAU = ("scheduler=plateau", "scheduler.patience=1", "scheduler.threshold=0.9")


@contextmanager
def interrupted_after(steps: int) -> Iterator[Callable[[int], None]]:
    """A callback that presses Ctrl-C once so many steps are taken."""

    def press(members: Sequence[Member]) -> None:
        if sum(member.model.step for member in members) >= steps:
            signal.raise_signal(signal.SIGINT)

    yield press


def test_a_stack_can_be_interrupted_and_goes_on_where_it_was(
    settled: Settled, runs: Any, tmp_path: Path, history: Callable, metrics: Callable
) -> None:
    configs = [
        settled("trainer.max_epochs=6", "optimizer.weight_decay=0.1", "data.train_fraction=0.05"),
        settled("trainer.max_epochs=6", "optimizer.lr=0.01", "objective.l1=1e-5"),
        settled("trainer.max_epochs=6", *PLATEAU),
    ]
    expected = runs.plain(configs)
    jobs = [(cfg, tmp_path / f"job{place}") for place, cfg in enumerate(configs)]

    with interrupted_after(7) as press, pytest.raises(Interrupted):
        train_stack(jobs, on_steps=press)
    reached = [load_checkpoint(folder / LAST)["global_step"] for _, folder in jobs]
    outcomes = train_stack(jobs)

    assert all(0 < step < 12 for step in reached)
    for (_, folder), reference, outcome in zip(jobs, expected, outcomes, strict=True):
        assert isinstance(outcome, dict)
        for row, wanted in zip(history(folder), history(reference), strict=True):
            assert row == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "momentum", "nadam", "rmsprop", "sgd"])
def test_plain_and_stacked_runs_take_up_each_others_folders(
    optimizer: str,
    settled: Settled,
    runs: Any,
    tmp_path: Path,
    history: Callable,
    metrics: Callable,
    interrupt: Interrupt,
) -> None:
    cfg = settled(f"optimizer={optimizer}", "trainer.early_stopping_patience=5", "scheduler=cosine")
    (expected,) = runs.plain([cfg])

    stacked_first, plain_first = tmp_path / "stacked first", tmp_path / "plain first"
    with interrupted_after(6) as press, pytest.raises(Interrupted):
        train_stack([(cfg, stacked_first)], on_steps=press)
    train(cfg, stacked_first)
    interrupt(cfg, plain_first, 6)
    (outcome,) = train_stack([(cfg, plain_first)])

    assert isinstance(outcome, dict)
    for folder in (stacked_first, plain_first):
        assert metrics(folder)["steps"] == 12
        for row, wanted in zip(history(folder), history(expected), strict=True):
            assert row == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "nadam"])
def test_runs_that_were_cut_off_at_different_steps_go_on_together(
    optimizer: str,
    settled: Settled,
    runs: Any,
    tmp_path: Path,
    history: Callable,
    interrupt: Interrupt,
) -> None:
    configs = [settled(f"optimizer={optimizer}", f"seed={seed}") for seed in range(4)]
    expected = runs.plain(configs)
    jobs = [(cfg, tmp_path / f"{cfg.seed}") for cfg in configs]
    for (cfg, folder), steps in zip(jobs, (3, 6, 6), strict=False):
        interrupt(cfg, folder, steps)

    train_stack(jobs)

    for (_, folder), reference in zip(jobs, expected, strict=True):
        for row, wanted in zip(history(folder), history(reference), strict=True):
            assert row == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("logger", ["minimal", "tensorboard"])
def test_one_that_has_only_to_be_scored_is(logger: str, settled: Settled, tmp_path: Path) -> None:
    jobs = [
        (settled(f"seed={seed}", f"logger={logger}"), tmp_path / f"job{seed}") for seed in (0, 1)
    ]
    first = train_stack(jobs)
    (tmp_path / "job1" / DONE).unlink()

    (again,) = train_stack(jobs[1:])

    assert isinstance(again, dict)
    assert again["test"] == first[1]["test"]  # type: ignore[index]


@pytest.mark.parametrize("failing_call", [1, 2, 6])
@pytest.mark.parametrize("optimizer", ["adam", "nadam"])
def test_a_stack_that_does_not_fit_is_halved(
    failing_call: int,
    optimizer: str,
    settled: Settled,
    runs: Any,
    tmp_path: Path,
    history: Callable,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    configs = [
        settled(f"optimizer={optimizer}", f"seed={seed}", f"data.train_fraction={0.1 + seed / 50}")
        for seed in range(5)
    ]
    expected = runs.plain(configs)
    sizes = _short_of_memory(monkeypatch, fits=2, failing_call=failing_call)

    with caplog.at_level(logging.WARNING):
        folders = runs.stacked(configs)

    assert sizes[0] == 5
    assert sizes[-1] <= 2
    assert "halved" in caplog.text
    for folder, reference in zip(folders, expected, strict=True):
        for row, wanted in zip(history(folder), history(reference), strict=True):
            assert row == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_where_not_even_one_fits_that_is_its_outcome(
    settled: Settled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _short_of_memory(monkeypatch, fits=0, failing_call=1)

    outcomes = train_stack([(settled(f"seed={seed}"), tmp_path / f"{seed}") for seed in (0, 1, 2)])

    assert [type(outcome) for outcome in outcomes] == [torch.OutOfMemoryError] * 3


def _short_of_memory(monkeypatch: pytest.MonkeyPatch, fits: int, failing_call: int) -> list[int]:
    """Let chunks of larger stacks fail from some call on; returns the sizes of all as they come."""
    sizes: list[int] = []
    train_chunk = Stack.train

    def short(self: Stack, *arguments: Any) -> Any:
        sizes.append(len(self.models))
        if len(sizes) >= failing_call and len(self.models) > fits:
            raise torch.OutOfMemoryError("simulated")
        return train_chunk(self, *arguments)

    monkeypatch.setattr(Stack, "train", short)
    return sizes
