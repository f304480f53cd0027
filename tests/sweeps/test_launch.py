"""A sweep from the command line: what it trains, what it leaves, what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from activae.models.autoencoder import Interrupted

QUICK = ("trainer=debug", "logger=minimal", "data.train_fraction=0.1")
ONE = "hydra.launcher.workers=1"

TrainPy = Callable[..., Any]


@pytest.fixture
def sweep(train_py: TrainPy, tmp_path: Path) -> Callable[..., Any]:
    """`sweep(*arguments)`: a small one by the name of s, in this process."""

    def run(*arguments: str) -> Any:
        return train_py("-m", "sweep=s", *QUICK, ONE, *arguments)

    return run


def folders(tmp_path: Path, name: str = "s") -> dict[str, Path]:
    """The run folders of a sweep, by what tells them apart."""
    sweep = tmp_path / "outputs" / "sweeps" / name
    index = json.loads((sweep / "sweep.json").read_text())
    kept = ("trainer", "logger", "data", "sweep")
    return {
        ",".join(o for o in job["overrides"] if not o.startswith(kept)): sweep / job["folder"]
        for job in index["jobs"].values()
    }


def steps_taken(folder: Path) -> float:
    """When the run's metrics were written: changes if it was trained again."""
    return (folder / "metrics.json").stat().st_mtime_ns


def test_every_job_leaves_the_folder_that_a_run_of_its_own_leaves(
    train_py: TrainPy, sweep: Callable[..., Any], tmp_path: Path
) -> None:
    assert sweep("activation=relu,tanh", "seed=0,1").code == 0
    assert train_py(*QUICK, "activation=tanh", "seed=1", "hydra.run.dir=alone").code == 0

    member, alone = folders(tmp_path)["activation=tanh,seed=1"], tmp_path / "alone"
    assert files(member) == files(alone)
    assert len(folders(tmp_path)) == 4
    of_member, of_alone = (json.loads((f / "metrics.json").read_text()) for f in (member, alone))
    assert of_member["test"] == pytest.approx(of_alone["test"], rel=1e-4)
    assert of_member.keys() == of_alone.keys()
    settings = [OmegaConf.load(folder / "config.yaml") for folder in (member, alone)]
    assert settings[0].pop("sweep") == "s"
    settings[1].pop("sweep")
    assert settings[0] == settings[1]
    recorded = [OmegaConf.load(folder / ".hydra" / "config.yaml") for folder in (member, alone)]
    assert recorded[0].activation == recorded[1].activation
    assert "SE/val" not in (member / "train.log").read_text().split("\n")[0]


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_the_same_command_again_trains_nothing(sweep: Callable[..., Any], tmp_path: Path) -> None:
    first = sweep("seed=0,1")
    before = {name: steps_taken(folder) for name, folder in folders(tmp_path).items()}

    again = sweep("seed=0,1")

    assert (first.code, again.code) == (0, 0)
    assert "2 runs, 0 to train, 2 done" in again.text
    assert {name: steps_taken(folder) for name, folder in folders(tmp_path).items()} == before


def test_a_larger_grid_under_the_same_name_adds_what_is_new(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    sweep("seed=0,1")
    before = {name: steps_taken(folder) for name, folder in folders(tmp_path).items()}

    # The same config said in other words is the same run.
    outcome = sweep("optimizer.lr=0.001,0.002", "seed=0,1,2", "activation=relu")

    assert outcome.code == 0
    assert "6 runs, 4 to train, 2 done" in outcome.text
    after = folders(tmp_path)
    assert len(after) == 6
    assert {name: steps_taken(after[name]) for name in before} == before


def test_a_sweep_without_a_name_is_found_again_by_its_command(train_py: TrainPy) -> None:
    train_py("-m", *QUICK, ONE, "seed=0,1")

    assert "2 runs, 0 to train" in train_py("-m", *QUICK, ONE, "seed=0,1").text
    assert "1 runs, 1 to train" in train_py("-m", *QUICK, ONE, "seed=1").text


def test_where_it_runs_makes_it_no_other_run(sweep: Callable[..., Any]) -> None:
    sweep("seed=0")

    for place in ("trainer.threads=1", "data.root=elsewhere", "logger.progress_bar=false"):
        assert "0 to train" in sweep("seed=0", place).text


def test_resuming_a_sweep_finishes_it(
    train_py: TrainPy, sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activae import training

    trained, train_settled = [], training.train_settled

    def interrupted_at_the_second(cfg: Any, folder: Path, shared: Any) -> Any:
        trained.append(folder)
        if len(trained) == 2:
            raise Interrupted
        return train_settled(cfg, folder, shared)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_settled", interrupted_at_the_second)
        outcome = sweep("seed=0,1,2")

    assert outcome.code == 130
    assert "continue with: python train.py resume=outputs/sweeps/s\n" in outcome.text
    assert not (folders(tmp_path)["seed=1"] / "DONE").exists()

    resumed = train_py("resume=outputs/sweeps/s")

    assert resumed.code == 0, resumed.text
    assert "3 runs, 2 to train, 1 done" in resumed.text
    assert all((folder / "DONE").exists() for folder in folders(tmp_path).values())


def test_a_resumed_sweep_takes_nothing_else(train_py: TrainPy, sweep: Callable[..., Any]) -> None:
    sweep("seed=0")

    outcome = train_py("resume=outputs/sweeps/s", "seed=5")

    outcome.assert_one_error("seed=5", "resume=outputs/sweeps/s", "larger grid")


def test_a_sweeps_folder_from_elsewhere_runs_no_code_of_its_own(
    train_py: TrainPy, sweep: Callable[..., Any], tmp_path: Path
) -> None:
    sweep("seed=0")
    index = tmp_path / "outputs" / "sweeps" / "s" / "sweep.json"
    evil = ["activation._target_=os.system", "hydra.launcher._target_=os.system"]
    content = json.loads(index.read_text())
    content["commands"] = [[*content["commands"][0], *evil]]
    index.write_text(json.dumps(content))

    outcome = train_py("resume=outputs/sweeps/s")

    assert outcome.code == 1
    assert "os.system" in outcome.text
    assert "may name only what is in" in outcome.text


def test_a_failed_job_is_named_with_its_reason_and_tried_again(
    sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activae import assembly

    build_network = assembly.build_network

    def broken_for_seed_1(cfg: Any, *rest: Any) -> Any:
        if cfg.seed == 1:
            raise ZeroDivisionError("a bug")
        return build_network(cfg, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(assembly, "build_network", broken_for_seed_1)
        outcome = sweep("seed=0,1,2")

    failed = folders(tmp_path)["seed=1"]
    assert outcome.code == 1
    _, summary = outcome.text.split("1 of the sweep's jobs failed:\n")
    assert summary.strip().endswith(f"{failed.relative_to(tmp_path)}: ZeroDivisionError: a bug")
    assert "Traceback" not in summary
    assert "Traceback" in (failed / "train.log").read_text()
    assert [name for name, f in folders(tmp_path).items() if (f / "DONE").exists()] == [
        "seed=0",
        "seed=2",
    ]

    again = sweep("seed=0,1,2")

    assert (again.code, "3 runs, 1 to train, 2 done" in again.text) == (0, True)
    assert not (failed / "FAILED").exists()


def test_a_diverged_job_is_closed_and_disturbs_nobody(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    outcome = sweep("optimizer=sgd", "optimizer.lr=1e30,0.1", "trainer.detect_anomaly=false")

    diverged, fine = folders(tmp_path).values()
    assert outcome.code == 1
    assert (diverged / "DONE").read_text() == "diverged\n"
    assert (fine / "DONE").read_text() == "completed\n"
    assert "1 of the sweep's jobs failed:" in outcome.text
    assert "diverged" in outcome.text

    again = sweep("optimizer=sgd", "optimizer.lr=1e30,0.1", "trainer.detect_anomaly=false")

    assert again.code == 1
    assert "2 runs, 0 to train, 2 done" in again.text


def test_a_full_disk_fails_the_job_that_meets_it(
    sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert [(f / "DONE").exists() for f in folders(tmp_path).values()] == [False, True]


def test_a_job_whose_folder_cannot_be_written_fails_alone(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    sweep("seed=0")
    taken = (
        tmp_path
        / "outputs"
        / "sweeps"
        / "s"
        / folders(tmp_path)["seed=0"].name.replace("seed=0", "seed=1")
    )
    taken.write_text("a file")

    outcome = sweep("seed=0,1,2")

    assert outcome.code == 1
    assert str(taken.name) in outcome.text
    assert (folders(tmp_path)["seed=2"] / "DONE").exists()


def test_what_one_job_leaks_does_not_reach_the_next(
    sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    import torch

    from activae import training

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
    from activae import training

    megabytes, train_settled = [], training.train_settled

    def watched(cfg: Any, folder: Path, shared: Any) -> Any:
        status = Path("/proc/self/status").read_text()
        megabytes.append(int(status.split("VmRSS:")[1].split()[0]) / 1e3)
        return train_settled(cfg, folder, shared)

    monkeypatch.setattr(training, "train_settled", watched)
    assert sweep("seed=range(60)", "logger=tensorboard", "logger.projector_samples=0").code == 0

    # 500 jobs may take 100 MB; the first ones fill caches.
    assert megabytes[59] - megabytes[19] < 16


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


@pytest.mark.parametrize("sign", ["+", "++", ""])
def test_a_sweeps_folder_names_no_code_by_adding_to_the_launcher(sign: str, tmp_path: Path) -> None:
    from activae.sweep_commands import commands_of

    evil = f"{sign}hydra.launcher._target_=os.system"
    harmless = "+hydra.launcher.additional_parameters.account=ours"
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "sweep.json").write_text(
        json.dumps({"commands": [["seed=0,1", evil, harmless]], "jobs": {}})
    )

    [command] = commands_of(folder, [])

    assert evil not in command
    assert {"seed=0,1", harmless} <= set(command)
