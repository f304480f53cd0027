"""`hydra/launcher=ray`: a sweep on a cluster of two cores, which Ray makes of this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

RAY = ("hydra/launcher=ray", "hydra.launcher.init.num_cpus=2")


def test_a_sweep_is_trained_and_a_failing_job_is_named(shared_sweep: Any) -> None:
    shared_sweep.write_activation("raise ZeroDivisionError('a bug')", seed=1)

    outcome = shared_sweep(*RAY, "seed=0,1,2")

    shared_sweep.assert_only_seed_1_failed(outcome, "ZeroDivisionError on a tensor: a bug")
    shared_sweep.assert_nothing_is_trained_again(*RAY, "seed=0,2")
    shared_sweep.assert_as_if_trained_here("seed=0,2")


@pytest.mark.parametrize(
    "option", ["tasks=0", "tasks=some", "num_cpus=null", "num_gpus=-1", "compile=perhaps", "init=2"]
)
def test_an_option_that_cannot_be_is_named(option: str, train_py: Callable[..., Any]) -> None:
    outcome = train_py("-m", "hydra/launcher=ray", f"hydra.launcher.{option}", "seed=0,1")

    outcome.assert_one_error(f"error: hydra.launcher.{option}: must be")


def test_without_ray_it_says_what_to_install(
    train_py: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    outcome = train_py("-m", "hydra/launcher=ray", "seed=0,1")

    outcome.assert_one_error("hydra/launcher=ray needs ray", "pip install 'activae[ray]'")
