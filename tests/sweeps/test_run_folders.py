"""Run folders of a sweep that a crash, a hand or another process has been at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
