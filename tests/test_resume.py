"""A run that was interrupted or killed ends, once resumed, as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from activae import training
from activae.callbacks import checkpoint
from activae.data import module as data_module
from activae.models.autoencoder import AutoencoderModule, Interrupted
from activae.run_folder import BEST, CONFIG, DONE, HISTORY, LAST, METRICS, load_checkpoint
from activae.steps import EagerStep
from activae.training import train

Compose = Callable[..., DictConfig]

# 126 training samples: 4 steps an epoch, the last one short; 6 epochs.
SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=6",
)
STEPS_PER_EPOCH = 4

CASES = {
    "adam, noise in training, cosine with warm-up": (
        "activation=rrelu",
        "scheduler=cosine",
        "scheduler.warmup=0.3",
    ),
    "momentum, one cycle, penalties, clipping": (
        "optimizer=momentum",
        "scheduler=onecycle",
        "objective.l1=1e-5",
        "objective.l2=1e-5",
        "trainer.gradient_clip_val=0.05",
    ),
    "early stopping, its patience counting": (
        "optimizer.lr=0.1",
        "trainer.max_epochs=40",
        "trainer.early_stopping_patience=3",
    ),
    "learnable activations, nadam, float64, a last epoch cut short": (
        "activation=prelu",
        "optimizer=nadam",
        "trainer.precision=64-true",
        "trainer.max_steps=22",
    ),
}
every_case = pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)


@pytest.fixture(autouse=True)
def chunks_end_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "STEPS_PER_CHUNK", 3)


@pytest.fixture(autouse=True)
def every_epoch_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_WRITES", -1.0)


@pytest.fixture
def uninterrupted(tmp_path: Path, compose: Compose) -> Callable[..., Path]:
    """Folder of a finished run of SMALL with overrides."""

    def run(*overrides: str) -> Path:
        folder = tmp_path / "uninterrupted"
        train(compose(*SMALL, *overrides), folder)
        return folder

    return run


@contextmanager
def stopping_after(steps: int) -> Iterator[None]:
    """Ctrl-C during that many steps of the run: the step is finished, the next one not begun."""
    with pytest.MonkeyPatch.context() as patch:

        def build(*args: Any) -> AutoencoderModule:
            model = build_model(*args)
            schedule = model.schedule

            def watched(step: int, total_steps: int) -> float:
                model.stop_requested |= step == steps - 1
                return schedule(step, total_steps)

            model.schedule = watched
            return model

        build_model = training.build_model
        patch.setattr(training, "build_model", build)
        yield


def interrupt(cfg: DictConfig, folder: Path, steps: int) -> None:
    with stopping_after(steps), pytest.raises(Interrupted):
        train(cfg, folder)
    assert load_checkpoint(folder / LAST)["global_step"] == steps
    assert not (folder / DONE).exists()
    assert not (folder / METRICS).exists()


def assert_same_end(folder: Path, expected: Path) -> None:
    """Weights, optimizer, random state, history and scores agree to the last bit."""
    for name in (BEST, LAST):
        found, wanted = load_checkpoint(folder / name), load_checkpoint(expected / name)
        assert found.keys() == wanted.keys()
        different = {key for key in found if not identical(found[key], wanted[key])}
        # Seconds, and the epoch that Lightning counts from the start of each process.
        assert different <= {"seconds", "callbacks"}, name
    assert history(folder) == history(expected)
    assert metrics(folder) == metrics(expected)
    assert (folder / DONE).read_text() == (expected / DONE).read_text()


def identical(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(identical(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(identical, one, other))
    return bool(one == other)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / HISTORY).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / METRICS).read_text())
    for measured in ("seconds", "steps_per_second", "peak_memory_mb"):
        found.pop(measured)
    return found


@every_case
def test_interrupted_anywhere_it_ends_the_same(
    overrides: tuple[str, ...],
    uninterrupted: Callable[..., Path],
    compose: Compose,
    tmp_path: Path,
) -> None:
    expected = uninterrupted(*overrides)
    cfg = compose(*SMALL, *overrides)
    places = {
        "first step": [1],
        "first epoch": [2],
        "between chunks": [7],
        "end of an epoch": [2 * STEPS_PER_EPOCH],
        "short batch": [3 * STEPS_PER_EPOCH - 1],
        "twice in one epoch, and again": [5, 6, 14],
    }
    for place, steps in places.items():
        folder = tmp_path / place
        for step in steps:
            interrupt(cfg, folder, step)
        train(cfg, folder)
        assert_same_end(folder, expected)


def test_early_stopping_in_these_cases_does_stop_early(uninterrupted: Callable[..., Path]) -> None:
    folder = uninterrupted(*CASES["early stopping, its patience counting"])

    assert 6 < len(history(folder)) < 40


def test_a_stop_during_the_last_step_comes_too_late(compose: Compose, tmp_path: Path) -> None:
    with stopping_after(6 * STEPS_PER_EPOCH):
        assert train(compose(*SMALL), tmp_path)["steps"] == 6 * STEPS_PER_EPOCH


def test_an_interruption_is_no_divergence(compose: Compose, tmp_path: Path) -> None:
    """The step taken last before the stop may be the one that diverged."""
    cfg = compose(*SMALL, "optimizer=sgd", "optimizer.lr=1e30", "trainer.max_epochs=2")
    with stopping_after(3), pytest.raises(training.TrainingDiverged):
        train(cfg, tmp_path)

    assert all(t.isfinite().all() for t in load_checkpoint(tmp_path / LAST)["state_dict"].values())


class Killed(BaseException):
    """The process ends here; nothing after it is executed."""


@contextmanager
def killed_at(call: int) -> Iterator[list[str]]:
    """Die at the given write (counted from 0), half of it done, and at every later one.

    Yields the list of the writes tried.
    """
    tried: list[str] = []
    save, replace = torch.save, os.replace

    def dying_save(content: Any, file: Path) -> None:
        tried.append(f"save {file.name}")
        if len(tried) > call:
            file.write_bytes(b"PK\3\4 half a file")
            raise Killed
        save(content, file)

    def dying_replace(partial: Path, file: Path) -> None:
        tried.append(f"replace {file.name}")
        if len(tried) > call:
            raise Killed
        replace(partial, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", dying_save)
        patch.setattr(os, "replace", dying_replace)
        yield tried


def test_killed_at_any_write_it_ends_the_same(
    uninterrupted: Callable[..., Path], compose: Compose, tmp_path: Path
) -> None:
    overrides = ("activation=rrelu", "optimizer.lr=0.3", "trainer.early_stopping_patience=1")
    expected = uninterrupted(*overrides)
    assert len(history(expected)) < 6, "should stop early"
    cfg = compose(*SMALL, *overrides)
    with killed_at(10**9) as writes:
        train(cfg, tmp_path / "counted")
    assert {"replace best.ckpt", "replace last.ckpt", "replace metrics.json"} <= set(writes)

    for call in range(len(writes)):
        folder = tmp_path / f"{call}"
        with killed_at(call), pytest.raises(Killed):
            train(cfg, folder)
        train(cfg, folder)
        assert_same_end(folder, expected)


def test_an_old_last_checkpoint_beside_newer_files_ends_the_same(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, killed = tmp_path / "expected", tmp_path / "killed"
    cfg = compose(*SMALL, "activation=rrelu", "optimizer=momentum")
    kept = tmp_path / "last.ckpt of epoch 2"
    replace = os.replace

    def keep_one(partial: Path, file: Path) -> None:
        replace(partial, file)
        if file.name == "last.ckpt" and load_checkpoint(file)["global_step"] == 2 * STEPS_PER_EPOCH:
            shutil.copy(file, kept)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", keep_one)
        train(cfg, expected)
    shutil.copytree(expected, killed)
    (killed / DONE).unlink()
    (killed / METRICS).unlink()
    shutil.copy(kept, killed / LAST)

    train(cfg, killed)

    assert_same_end(killed, expected)


def test_killed_before_anything_was_written_it_starts_over(
    uninterrupted: Callable[..., Path], compose: Compose, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    expected = uninterrupted()
    half = (expected / HISTORY).read_text()[:-30]
    (folder / HISTORY).write_text(half)

    train(compose(*SMALL), folder)

    assert_same_end(folder, expected)


def test_events_of_a_resumed_run_are_those_of_an_uninterrupted_one(
    compose: Compose, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        return {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }

    cfg = compose(*SMALL, "logger=tensorboard")
    train(cfg, tmp_path / "whole")
    interrupt(cfg, tmp_path / "resumed", 6)
    (tmp_path / "resumed" / LAST).unlink()  # as if killed before it was written
    for steps in (5, 13):
        sleep(1.1 - time() % 1)  # event files are ordered by the second in their names
        interrupt(cfg, tmp_path / "resumed", steps)
    sleep(1.1 - time() % 1)
    train(cfg, tmp_path / "resumed")

    whole = scalars(tmp_path / "whole")
    assert len(whole["SE/val"]) == 6
    assert scalars(tmp_path / "resumed") == whole


def test_a_finished_run_is_only_scored_again(compose: Compose, tmp_path: Path) -> None:
    cfg = compose(*SMALL, "trainer.precision=64-true")
    train(cfg, tmp_path)
    scored, written = metrics(tmp_path), (tmp_path / LAST).stat().st_mtime_ns
    (tmp_path / DONE).unlink()
    (tmp_path / METRICS).unlink()

    train(cfg, tmp_path)

    assert metrics(tmp_path) == scored
    assert (tmp_path / LAST).stat().st_mtime_ns == written


@contextmanager
def ctrl_c_during(step: int, *, times: int) -> Iterator[None]:
    """Really press Ctrl-C during that step (counted from 0) of every run within."""
    take_step = EagerStep.__call__
    taken = 0

    def interrupted(self: EagerStep, batch: torch.Tensor, factor: float) -> dict[str, torch.Tensor]:
        nonlocal taken
        if taken == step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        taken += 1
        return take_step(self, batch, factor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EagerStep, "__call__", interrupted)
        yield


def test_ctrl_c_ends_after_the_step(compose: Compose, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)

    with ctrl_c_during(5, times=1), pytest.raises(Interrupted):
        train(compose(*SMALL), tmp_path)

    assert load_checkpoint(tmp_path / LAST)["global_step"] == 6
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_ctrl_c_ends_at_once_with_the_last_whole_epoch(
    uninterrupted: Callable[..., Path], compose: Compose, tmp_path: Path
) -> None:
    expected, folder = uninterrupted(), tmp_path / "interrupted"
    handler = signal.getsignal(signal.SIGINT)

    with ctrl_c_during(5, times=2), pytest.raises(KeyboardInterrupt):
        train(compose(*SMALL), folder)

    assert load_checkpoint(folder / LAST)["global_step"] == STEPS_PER_EPOCH
    assert signal.getsignal(signal.SIGINT) is handler
    train(compose(*SMALL), folder)
    assert_same_end(folder, expected)


def test_ctrl_c_saves_and_exits_with_130(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    overrides = [o for o in SMALL if not o.startswith("trainer.")]
    process = subprocess.Popen(
        [sys.executable, root / "train.py", *overrides, "trainer.max_epochs=1000000"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = monotonic() + 60
        while not (started := list(tmp_path.glob(f"outputs/*/*/{HISTORY}"))):
            assert process.poll() is None
            assert monotonic() < deadline
            sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    (folder,) = (file.parent for file in started)

    assert process.returncode == 130
    assert f"resume={folder.relative_to(tmp_path)}" in output.replace(f"{tmp_path}/", "")
    step = load_checkpoint(folder / LAST)["global_step"]
    assert step > 0
    cfg = OmegaConf.load(folder / CONFIG)
    assert isinstance(cfg, DictConfig)
    cfg.trainer.max_epochs = step // STEPS_PER_EPOCH + 2
    OmegaConf.save(cfg, folder / CONFIG)
    assert train(cfg, folder)["steps"] == cfg.trainer.max_epochs * STEPS_PER_EPOCH
