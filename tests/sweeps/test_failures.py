"""What goes wrong in one job of a sweep stays with that job, and is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUICK = ("trainer=debug", "logger=minimal", "data.train_fraction=0.1")
ONE = "hydra.launcher.workers=1"

TrainPy = Callable[..., Any]
Folders = Callable[..., dict[str, Path]]


def test_a_failed_job_is_named_with_its_reason_and_tried_again(
    sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    from activae.training import assembly

    build_network = assembly.build_network

    def broken_for_seed_1(cfg: Any, *rest: Any) -> Any:
        if cfg.seed == 1:
            raise ZeroDivisionError("a bug")
        return build_network(cfg, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(assembly, "build_network", broken_for_seed_1)
        outcome = sweep("seed=0,1,2")

    failed = folders()["seed=1"]
    assert outcome.code == 1
    _, summary = outcome.text.split("1 of the sweep's jobs failed:\n")
    assert summary.strip().endswith(f"{failed.relative_to(tmp_path)}: ZeroDivisionError: a bug")
    assert "Traceback" not in summary
    assert "Traceback" in (failed / "train.log").read_text()
    assert [name for name, f in folders().items() if (f / "DONE").exists()] == [
        "seed=0",
        "seed=2",
    ]

    again = sweep("seed=0,1,2")

    assert (again.code, "3 runs, 1 to train, 2 done" in again.text) == (0, True)
    assert not (failed / "FAILED").exists()


def test_a_diverged_job_is_closed_and_disturbs_nobody(
    sweep: Callable[..., Any], folders: Folders
) -> None:
    outcome = sweep("optimizer=sgd", "optimizer.lr=1e30,0.1", "trainer.detect_anomaly=false")

    diverged, fine = folders().values()
    assert outcome.code == 1
    assert (diverged / "DONE").read_text() == "diverged\n"
    assert (fine / "DONE").read_text() == "completed\n"
    assert "1 of the sweep's jobs failed (1 of them diverged):" in outcome.text
    assert "diverged" in outcome.text

    again = sweep("optimizer=sgd", "optimizer.lr=1e30,0.1", "trainer.detect_anomaly=false")

    assert again.code == 1
    assert "2 runs, 0 to train, 2 done" in again.text


def test_a_full_disk_fails_the_job_that_meets_it(
    sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, folders: Folders
) -> None:
    import torch

    save, calls = torch.save, []

    def full_at_first(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise OSError(28, "No space left on device", str(args[1]))
        save(*args, **kwargs)

    monkeypatch.setattr(torch, "save", full_at_first)
    outcome = sweep("seed=0,1")

    assert outcome.code == 1
    assert "No space left on device" in outcome.text
    assert [(f / "DONE").exists() for f in folders().values()] == [False, True]


def test_a_job_whose_folder_cannot_be_written_fails_alone(
    sweep: Callable[..., Any], tmp_path: Path, folders: Folders
) -> None:
    taken = tmp_path / "outputs" / "sweeps" / "s" / "seed=1"
    taken.parent.mkdir(parents=True)
    taken.write_text("a file")

    outcome = sweep("seed=0,1,2")

    assert outcome.code == 1
    assert str(taken.name) in outcome.text
    assert (folders()["seed=2"] / "DONE").exists()


def test_what_one_job_leaks_does_not_reach_the_next(
    sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    import torch

    from activae.results import run as training

    found, train_settled = [], training.train_settled

    def leaking(cfg: Any, folder: Path, shared: Any) -> Any:
        found.append((state(), torch.rand(1).item()))
        logging.getLogger().addHandler(logging.NullHandler())
        return train_settled(cfg, folder, shared)

    def state() -> Any:
        return (
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            len(logging.getLogger().handlers),
        )

    def score_and_leak(*args: Any) -> Any:
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        torch.manual_seed(5)
        return score(*args)

    score = training.score
    monkeypatch.setattr(training, "train_settled", leaking)
    monkeypatch.setattr(training, "score", score_and_leak)
    assert sweep("seed=0,1").code == 0

    (first, drawn), (second, drawn_after) = found
    assert first == second
    assert drawn != drawn_after  # the global generator goes on as if there had been no job


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_the_memory_of_a_process_does_not_grow_with_its_jobs(
    sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from activae.results import run as training

    megabytes, train_settled = [], training.train_settled

    def watched(cfg: Any, folder: Path, shared: Any) -> Any:
        status = Path("/proc/self/status").read_text()
        megabytes.append(int(status.split("VmRSS:")[1].split()[0]) / 1e3)
        return train_settled(cfg, folder, shared)

    monkeypatch.setattr(training, "train_settled", watched)
    assert sweep("seed=range(30)", "logger=tensorboard", "logger.projector_samples=0").code == 0

    # What jobs leave behind would add up. Caches fill for some sixty jobs, by a MB each and less.
    assert megabytes[29] - megabytes[9] < 25


def test_a_sweep_in_processes_of_torchrun_is_refused(
    sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")

    sweep("seed=0,1").assert_one_error("WORLD_SIZE=2", "plain python")


def test_a_damaged_record_says_what_to_do(
    sweep: Callable[..., Any], train_py: TrainPy, tmp_path: Path
) -> None:
    sweep("seed=0")
    index = tmp_path / "outputs" / "sweeps" / "s" / "sweep.json"
    index.write_text("{")

    sweep("seed=0").assert_one_error("sweep.json: is damaged", "delete it")
    index.unlink()

    assert "0 to train" in sweep("seed=0").text


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_workers_are_one_or_more(workers: str, train_py: TrainPy) -> None:
    outcome = train_py("-m", *QUICK, f"hydra.launcher.workers={workers}", "seed=0,1")

    outcome.assert_one_error(f"error: hydra.launcher.workers={workers}: must be", "1 or more")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (("data=array", "data.path=none.npy"), ("data.path=none.npy", "no such file")),
        (("init_from=none",), ("init_from=none: there is no such folder",)),
    ],
)
def test_what_is_not_there_is_told_once_before_anything_starts(
    missing: tuple[str, ...], said: tuple[str, ...], train_py: TrainPy, tmp_path: Path
) -> None:
    outcome = train_py("-m", "sweep=s", *missing, "seed=0,1", *QUICK)

    outcome.assert_one_error(*said, "all 2 runs; none was started")
    assert not (tmp_path / "outputs" / "sweeps" / "s").exists()


def test_a_sweep_of_hydras_own_launcher_says_how_it_is_resumed(train_py: TrainPy) -> None:
    launched = train_py("-m", "sweep=s", "hydra/launcher=basic", "seed=0", *QUICK)

    assert launched.code == 0, launched.text
    train_py("resume=outputs/sweeps/s").assert_one_error("hydra/launcher=basic", "one by one")
