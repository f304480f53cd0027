"""`hydra/launcher=slurm` and `submitit_local`: a sweep shared by batch jobs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

LOCAL = "hydra/launcher=submitit_local"


def test_a_sweep_is_trained_and_a_failing_job_is_named(shared_sweep: Any) -> None:
    shared_sweep.write_activation("raise ZeroDivisionError('a bug')", seed=1)

    outcome = shared_sweep(LOCAL, "seed=0,1,2")

    shared_sweep.assert_only_seed_1_failed(outcome, "ZeroDivisionError on a tensor: a bug")
    shared_sweep.assert_nothing_is_trained_again(LOCAL, "seed=0,2")
    shared_sweep.assert_as_if_trained_here("seed=0,2")


@pytest.fixture
def without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Submitit does not wait for the file of a result to appear, which it does for 15 s."""
    at_once = "from submitit.core import core\ncore.Job._results_timeout_s = 0\n"
    (tmp_path / "sitecustomize.py").write_text(at_once)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # of the processes that the test starts


@pytest.mark.usefixtures("without_waiting")
def test_what_a_dying_worker_leaves_is_reported(shared_sweep: Any) -> None:
    shared_sweep.write_activation("os.kill(os.getppid(), signal.SIGKILL); os._exit(1)", seed=1)

    outcome = shared_sweep(LOCAL, "hydra.launcher.jobs=1", "seed=0,1,2")

    assert outcome.code == 1
    assert "2 of the sweep's jobs failed:" in outcome.text
    assert outcome.text.count("no worker was left to train it: Job ") >= 2
    assert [(f / "DONE").exists() for f in shared_sweep.folders()] == [True, False, False]


def test_a_worker_whose_node_is_taken_away_is_queued_again_and_goes_on(
    shared_sweep: Any, tmp_path: Path
) -> None:
    warning = "open('warned', 'x').close(); os.kill(os.getppid(), signal.SIGUSR2)"
    shared_sweep.write_activation(f"if not os.path.exists('warned'): {warning}", seed=1)

    outcome = shared_sweep(LOCAL, "hydra.launcher.jobs=1", "seed=0,1")

    assert outcome.code == 0, outcome.text
    [log] = (tmp_path / "outputs/sweeps/s/.submitit").glob("*/*.out")
    assert "Requeued job" in log.read_text()
    shared_sweep.assert_as_if_trained_here("seed=0,1")


SBATCH = r"""#!/bin/bash
# Runs the script's array here, as its tasks would be run on nodes.
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\)%.*/\1/p' "$1"); cp "$1" "$SLURM_FAKE/script"
for task in $(seq 0 "${last:-0}"); do
    (export SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=${last:+7} SLURM_ARRAY_TASK_ID=${last:+$task}
        bash "$1"; touch "$SLURM_FAKE/ended_$task") > "$SLURM_FAKE/log_$task" 2>&1 &
done
echo Submitted batch job 7
"""
SRUN = '#!/bin/bash\nshift 5; exec "$@"\n'  # without --unbuffered --output FILE --error FILE
SACCT = """#!/bin/bash
echo 'JobID|State|NodeList'
for task in 0 1; do
    [ -e "$SLURM_FAKE/ended_$task" ] && state=COMPLETED || state=RUNNING
    echo "7_$task|$state|here"
done
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what stand-ins for Slurm's commands leave: the script, the tasks' logs."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_FAKE", str(folder))
    return folder


def test_slurm_gets_one_array_of_jobs_with_the_options_asked_for(
    slurm: Path, shared_sweep: Any
) -> None:
    asked = ("jobs=2", "cpus_per_task=2", "partition=short", "timeout_min=30", "mem_gb=3")
    options = [f"hydra.launcher.{option}" for option in asked]
    account = "+hydra.launcher.additional_parameters.account=ours"

    outcome = shared_sweep("hydra/launcher=slurm", *options, account, "seed=0,1")

    assert outcome.code == 0, outcome.text
    assert "7_0, 7_1; their logs: outputs/sweeps/s/.submitit" in outcome.text
    script = (slurm / "script").read_text()
    for line in ("cpus-per-task=2", "partition=short", "time=30", "mem=3GB", "account=ours"):
        assert f"#SBATCH --{line}\n" in script
    shared_sweep.assert_as_if_trained_here("seed=0,1")


def test_what_sbatch_refuses_is_said(slurm: Path, train_py: Callable[..., Any]) -> None:
    (slurm / "sbatch").write_text("#!/bin/bash\necho 'invalid partition: none' >&2; exit 1\n")

    outcome = train_py("-m", "hydra/launcher=slurm", "hydra.launcher.partition=none", "seed=0,1")

    outcome.assert_one_error("hydra/launcher=slurm", "invalid partition: none")


def test_without_slurm_it_says_so(
    train_py: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    train_py("-m", "hydra/launcher=slurm", "seed=0,1").assert_one_error("hydra/launcher=slurm")


@pytest.mark.parametrize("option", ["jobs=0", "cpus_per_task=null", "timeout_min=-1", "compile=2"])
def test_an_option_that_cannot_be_is_named(option: str, train_py: Callable[..., Any]) -> None:
    outcome = train_py("-m", LOCAL, f"hydra.launcher.{option}", "seed=0,1")

    outcome.assert_one_error(f"error: hydra.launcher.{option}: must be")


@pytest.mark.parametrize("launcher", ["slurm", "submitit_local"])
def test_without_submitit_it_says_what_to_install(
    launcher: str, train_py: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)

    outcome = train_py("-m", f"hydra/launcher={launcher}", "seed=0,1")

    outcome.assert_one_error(f"hydra/launcher={launcher} needs submitit", "'activae[slurm]'")


@pytest.mark.usefixtures("composed_anew")
def test_what_another_plugin_registers_under_the_name_is_out_of_the_way(
    train_py: Callable[..., Any],
) -> None:
    theirs = {"_target_": "another.Launcher", "jobs": 1, "backend": "loky"}
    ConfigStore.instance().store(group="hydra/launcher", name="submitit_local", node=theirs)

    shown = train_py(LOCAL, "--cfg", "hydra", "--package", "hydra.launcher")

    assert shown.code == 0
    assert "submitit.SubmititLauncher\n" in shown.text
    assert "backend" not in shown.text
