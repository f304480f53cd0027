"""A sweep in several processes: shared among launches, stopped by Ctrl-C, survived by the rest."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from activae.sweeps.job import Job
from activae.sweeps.pool import Group, labels

ROOT = Path(__file__).parents[2]
SMALL = ("trainer=cpu", "logger=minimal", "data.train_fraction=0.1", "trainer.max_epochs=4")
TWO = "hydra.launcher.workers=2"

TrainPy = Callable[..., Any]


def runs(sweep: Path) -> list[Path]:
    return sorted(config.parent for config in sweep.glob("*/config.yaml"))


def test_processes_train_what_one_process_trains(train_py: TrainPy, tmp_path: Path) -> None:
    grid = ("-m", *SMALL, "activation=relu,tanh", "seed=0,1", "optimizer.lr=1e-3,1e-2")
    one = train_py(*grid, "hydra.launcher.workers=1", "sweep=one")
    two = train_py(*grid, TWO, "sweep=two")

    assert (one.code, two.code) == (0, 0), two.text
    sweeps = [tmp_path / "outputs" / "sweeps" / name for name in ("one", "two")]
    first, second = ([scores(run) for run in runs(sweep)] for sweep in sweeps)
    assert len(first) == 8
    assert first == second


def scores(run: Path) -> dict[str, Any]:
    metrics = json.loads((run / "metrics.json").read_text())
    return {stage: metrics[stage] for stage in ("train", "val", "test", "pca")}


@pytest.fixture
def launched(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """`launched(*arguments)`: a sweep in a process of its own, not waited for."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}

    def launch(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), "-m", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return launch


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_launches_share_a_sweep_and_train_nothing_twice(
    launched: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    grid = ("sweep=s", *SMALL, "seed=range(8)", TWO)
    both = [launched(*grid), launched(*grid)]
    texts = [process.communicate(timeout=100)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], texts
    assert len(runs(tmp_path / "outputs" / "sweeps" / "s")) == 8
    trained = re.findall(r"completed .*?seed=(\d)", "".join(texts))
    assert sorted(trained) == list("01234567")


@pytest.mark.parametrize(("request_to_end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_request_to_end_saves_every_run_and_the_sweep_goes_on_from_there(
    launched: Callable[..., subprocess.Popen[str]],
    train_py: TrainPy,
    tmp_path: Path,
    request_to_end: int,
    code: int,
) -> None:
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    endless = ("trainer.max_epochs=400", "seed=0,1", TWO)
    process = launched("sweep=s", *SMALL, *endless)
    wait_for(lambda: len(list(sweep.glob("*/history.csv"))) == 2)
    if request_to_end == signal.SIGTERM:  # which batch systems send to all processes of a job
        for worker in psutil.Process(process.pid).children(recursive=True):
            worker.send_signal(request_to_end)
    process.send_signal(request_to_end)
    text = process.communicate(timeout=60)[0]

    assert process.returncode == code, text
    assert "Traceback" not in text
    assert "continue with: python train.py resume=outputs/sweeps/s" in text
    assert all((run / "checkpoints" / "last.ckpt").exists() for run in runs(sweep))

    resumed = train_py("resume=outputs/sweeps/s")

    assert resumed.code == 0, resumed.text
    for run in runs(sweep):
        assert "resumed at step" in (run / "train.log").read_text()
        assert json.loads((run / "metrics.json").read_text())["steps"] == 400 * 4


def test_a_process_that_dies_takes_only_its_job_with_it(
    train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activae.results import run as training

    train_settled, launcher = training.train_settled, os.getpid()

    def deadly(cfg: Any, folder: Path, shared: Any) -> Any:
        if cfg.seed == 1 and os.getpid() != launcher:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_settled(cfg, folder, shared)

    monkeypatch.setattr(training, "train_settled", deadly)
    outcome = train_py("-m", "sweep=s", *SMALL, "seed=0,1,2,3", TWO)

    assert outcome.code == 1
    _, summary = outcome.text.split("1 of the sweep's jobs failed:\n")
    assert "seed=1" in summary
    assert "SIGKILL" in summary
    done = [run for run in runs(tmp_path / "outputs" / "sweeps" / "s") if (run / "DONE").exists()]
    assert len(done) == 3


def test_data_are_sent_to_processes_that_cannot_be_forked(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(
        "import runpy, sys\n"
        "from activae.sweeps import pool\n"
        "if __name__ == '__main__':\n"
        "    pool.FORK = 'spawn'\n"
        f"    sys.argv = ['train.py', *sys.argv[1:]]\n"
        f"    runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
    )
    done = python(str(script), "-m", "sweep=s", *SMALL, "seed=0,1", TWO)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 runs, 2 to train" in done.stdout
    assert len(runs(tmp_path / "outputs" / "sweeps" / "s")) == 2


def test_groups_of_runs_are_told_apart_where_their_names_are_long() -> None:
    def alike(*overrides: str) -> Group:
        lines = (*overrides, "trainer=debug")
        return Group("", "", tuple(Job(n, 0, lines, Path(n), {}, {}, "") for n in "ab"))

    wide = [alike(f"encoder.hidden=[{'64,' * 20}{last}]") for last in (32, 16)]
    halves = [alike(f"encoder.hidden=[{n},20]", f"decoder.hidden=[20,{n}]") for n in (64, 32)]

    shown = labels([*wide, *halves], of=[*wide, *halves])
    assert len(set(shown)) == 4
    assert max(map(len, shown)) <= 55
    assert shown[2] == " of decoder.hidden=[20,64],encoder.hidden=[64,20]"
