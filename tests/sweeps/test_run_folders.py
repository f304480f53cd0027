"""Run folders of a sweep that a crash, a hand or another process has been at."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from activae import collect
from activae.results.claims import claim
from activae.sweeps.folder import CLAIMS, SweepFolder

Sweep = Callable[..., Any]
Folders = Callable[..., dict[str, Path]]


def test_a_run_whose_metrics_a_crash_emptied_is_scored_anew(sweep: Sweep, folders: Folders) -> None:
    assert sweep("seed=0,1").code == 0
    file = folders()["seed=1"] / "metrics.json"
    scores = json.loads(file.read_text())["test"]
    file.write_text("")

    again = sweep("seed=0,1")

    assert (again.code, "2 runs, 1 to train, 1 done" in again.text) == (0, True), again.text
    assert json.loads(file.read_text())["test"] == scores
    assert not list(folders()["seed=1"].glob(".claim"))

    file.write_text('{"val": null}')
    sweep("seed=0,1").assert_one_error("metrics.json: is damaged", "delete it")


def test_a_link_in_a_run_folder_fails_that_job_alone(
    sweep: Sweep, folders: Folders, tmp_path: Path
) -> None:
    assert sweep("seed=0,1").code == 0
    precious = tmp_path / "precious"
    precious.write_text("mine")
    run = folders()["seed=1"]
    (run / "DONE").unlink()
    (run / "train.log").unlink()
    (run / "train.log").symlink_to(precious)

    again = sweep("seed=0,1,2")

    assert again.code == 1
    assert "1 of the sweep's jobs failed:" in again.text
    assert "train.log: is a link" in again.text
    assert (folders()["seed=2"] / "DONE").exists()
    assert precious.read_text() == "mine"


def test_a_run_that_is_resumed_by_itself_is_not_the_sweeps(tmp_path: Path) -> None:
    job: Any = SimpleNamespace(id="0123456789", folder=tmp_path / "run")
    (tmp_path / CLAIMS).mkdir()
    sweep = SweepFolder(tmp_path)

    with claim(job.folder), sweep.claim(job) as ours:
        assert not ours
    with sweep.claim(job) as ours, SweepFolder(tmp_path).claim(job) as others:
        assert (ours, others) == (True, False)
    with sweep.claim(job) as ours:
        assert ours, "both were let go"


def test_an_edited_function_is_trained_anew_beside_the_old_one(
    sweep: Sweep, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = tmp_path / "mine_in_a_sweep.py"
    own = ("activation=custom", "activation.function=mine_in_a_sweep.f")
    monkeypatch.delitem(sys.modules, "mine_in_a_sweep", raising=False)
    function.write_text("import torch\ndef f(x):\n    return torch.tanh(x)\n")
    assert sweep(*own, "seed=0,1").code == 0
    function.write_text("import torch\ndef f(x):\n    return torch.sin(x)\n")
    sys.modules.pop("mine_in_a_sweep")

    again = sweep(*own, "seed=0,1")
    unchanged = sweep(*own, "seed=0,1")

    assert "2 runs, 2 to train" in again.text
    assert "2 runs, 0 to train, 2 done" in unchanged.text
    assert "custom(source=" in again.text
    runs = collect(tmp_path / "outputs")
    assert len(runs) == 4
    assert runs["activation"].nunique() == 2
    assert runs["test/SE"].nunique() == 4
