"""`hydra/launcher=joblib`: a sweep on joblib's processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore


def test_a_sweep_is_trained_and_a_job_that_kills_its_process_fails_alone(shared_sweep: Any) -> None:
    shared_sweep.write_activation("os.kill(os.getpid(), signal.SIGKILL)", seed=1)

    outcome = shared_sweep("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1,2")

    shared_sweep.assert_only_seed_1_failed(outcome, "SIGKILL")
    shared_sweep.assert_nothing_is_trained_again("hydra/launcher=joblib", "seed=0,2")
    shared_sweep.assert_as_if_trained_here("seed=0,2")


@pytest.mark.parametrize("n_jobs", ["0", "many", "1.5", "null", "true"])
def test_n_jobs_is_joblibs(n_jobs: str, train_py: Callable[..., Any]) -> None:
    outcome = train_py("-m", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={n_jobs}", "seed=0,1")

    outcome.assert_one_error("hydra.launcher.n_jobs=", "whole number")


def test_what_another_plugin_registers_under_the_name_is_out_of_the_way(
    train_py: Callable[..., Any],
) -> None:
    theirs = {"_target_": "another.Launcher", "n_jobs": 1, "backend": "loky"}
    ConfigStore.instance().store(group="hydra/launcher", name="joblib", node=theirs)

    shown = train_py("hydra/launcher=joblib", "--cfg", "hydra", "--package", "hydra.launcher")

    assert shown.code == 0
    assert "joblib.JoblibLauncher\n" in shown.text
    assert "backend" not in shown.text
