"""A run whose process was killed, at any moment, ends, once resumed, as if nothing had happened."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep, time
from typing import Any

import pytest
from omegaconf import DictConfig

from activae.results.run import train
from activae.results.run_folder import DONE, HISTORY, METRICS, ended
from activae.training.checkpoint import LAST, load_checkpoint

Small = Callable[..., DictConfig]
SameEnd = Callable[[Path, Path], None]

STEPS_PER_EPOCH = 4


class Killed(BaseException):
    """The process ends here; nothing after it is executed."""


@contextmanager
def killed_at(call: int) -> Iterator[list[str]]:
    """Die at the given write (counted from 0), half of it done, and at every later one.

    Yields the list of the writes tried.
    """
    tried: list[str] = []
    sync, replace = os.fsync, os.replace

    def dying_sync(handle: int) -> None:
        written = Path(f"/dev/fd/{handle}").resolve()
        tried.append(f"write {written.name}")
        if len(tried) > call:
            if written.is_file():
                os.ftruncate(handle, written.stat().st_size // 2)
            raise Killed
        sync(handle)

    def dying_replace(partial: Path, file: Path) -> None:
        tried.append(f"replace {file.name}")
        if len(tried) > call:
            raise Killed
        replace(partial, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", dying_sync)
        patch.setattr(os, "replace", dying_replace)
        yield tried


def test_killed_at_any_write_it_ends_the_same(
    uninterrupted: Callable[..., Path],
    small: Small,
    history: Callable[[Path], list[Any]],
    assert_same_end: SameEnd,
    tmp_path: Path,
) -> None:
    overrides = ("activation=rrelu", "optimizer.lr=0.3", "trainer.early_stopping_patience=1")
    expected = uninterrupted(*overrides)
    assert len(history(expected)) < 6, "should stop early"
    cfg = small(*overrides)
    with killed_at(10**9) as writes:
        train(cfg, tmp_path / "counted")
    assert {
        "write last.ckpt.partial",
        "replace best.ckpt",
        "replace last.ckpt",
        "replace metrics.json",
    } <= set(writes)

    for call in range(len(writes)):
        folder = tmp_path / f"{call}"
        with killed_at(call), pytest.raises(Killed):
            train(cfg, folder)
        if not ended(folder):  # it may have been killed after its last write
            train(cfg, folder)
        assert_same_end(folder, expected)


def test_an_old_last_checkpoint_beside_newer_files_ends_the_same(
    small: Small, assert_same_end: SameEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, killed = tmp_path / "expected", tmp_path / "killed"
    cfg = small("activation=rrelu", "optimizer=momentum")
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


def test_killed_before_a_checkpoint_was_written_it_starts_over(
    uninterrupted: Callable[..., Path], small: Small, assert_same_end: SameEnd, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    expected = uninterrupted()
    (folder / HISTORY).write_text((expected / HISTORY).read_text()[:-30])

    train(small(), folder)

    assert_same_end(folder, expected)


def test_events_of_a_resumed_run_are_those_of_an_uninterrupted_one(
    small: Small, interrupt: Callable[[DictConfig, Path, int], None], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        return {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }

    cfg = small("logger=tensorboard", "activation=rrelu")
    train(cfg, tmp_path / "whole")
    resumed = tmp_path / "resumed"
    interrupt(cfg, resumed, 6)
    (resumed / LAST).unlink()  # as if killed before it was written
    for steps in (5, 13):
        sleep(1.1 - time() % 1)  # event files are ordered by the second in their names
        interrupt(cfg, resumed, steps)
    sleep(1.1 - time() % 1)
    train(cfg, resumed)

    whole = scalars(tmp_path / "whole")
    assert len(whole["SE/val"]) == 6
    assert scalars(resumed) == whole
    assert scalars(resumed / "train") == scalars(tmp_path / "whole" / "train")
    for where in (resumed, resumed / "train"):
        assert len(list(where.glob("*tfevents*"))) == 1
