"""A sweep whose alike runs step together: the folders, ids and outcomes of any other sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ("trainer=cpu", "logger=minimal", "data.train_fraction=0.1", "trainer.max_epochs=3")
STACK = "hydra.launcher.stack=true"

TrainPy = Callable[..., Any]


@pytest.fixture
def sweep(train_py: TrainPy) -> Callable[..., Any]:
    """`sweep(*arguments)`: a small one, stacked."""
    return lambda *arguments: train_py("-m", "sweep=s", *SMALL, STACK, *arguments)


def runs(tmp_path: Path, name: str = "s") -> list[Path]:
    return sorted(c.parent for c in (tmp_path / "outputs" / "sweeps" / name).glob("*/config.yaml"))


def scores(run: Path) -> dict[str, Any]:
    metrics = json.loads((run / "metrics.json").read_text())
    return {stage: metrics[stage] for stage in ("train", "val", "test")}


def test_stacked_runs_come_to_what_single_ones_come_to(
    sweep: Callable[..., Any], train_py: TrainPy, tmp_path: Path
) -> None:
    grid = ("activation=relu,tanh", "seed=0,1", "optimizer.lr=1e-3,1e-2")
    stacked = sweep(*grid)
    singly = train_py("-m", "sweep=t", *SMALL, *grid, "hydra.launcher.workers=1")

    assert (stacked.code, singly.code) == (0, 0), stacked.text
    assert stacked.text.count("4 at a time on cpu") == 2
    assert "MB a member" in stacked.text
    pairs = list(zip(runs(tmp_path), runs(tmp_path, "t"), strict=True))
    assert len(pairs) == 8
    for one, other in pairs:
        assert one.name == other.name
        assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}
        for stage, found in scores(one).items():
            assert found["SE"] == pytest.approx(scores(other)[stage]["SE"], rel=1e-2)


def test_what_cannot_be_stacked_is_trained_singly_and_the_reason_told(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    outcome = sweep("activation=rrelu,relu", "seed=0,1")

    assert outcome.code == 0, outcome.text
    assert "single 2 runs like rrelu" in outcome.text
    assert "stack  2 runs like relu" in outcome.text
    assert all((run / "DONE").exists() for run in runs(tmp_path))


def test_a_stacked_sweep_names_those_that_failed_and_spares_the_rest(
    sweep: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activae.sweeps.stack import training

    build_model = training.build_model

    def broken_for_seed_1(cfg: Any, *rest: Any) -> Any:
        if cfg.seed == 1:
            raise ZeroDivisionError("a bug")
        return build_model(cfg, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(training, "build_model", broken_for_seed_1)
        outcome = sweep("optimizer=sgd", "optimizer.lr=0.1,1e30", "seed=0,1")

    assert outcome.code == 1
    _, summary = outcome.text.split("3 of the sweep's jobs failed (1 of them diverged):\n")
    assert summary.count("ZeroDivisionError: a bug") == 1  # both share it
    assert "and 1 more: " in summary
    assert summary.count("diverged") == 1
    status = [(run / "DONE").read_text() for run in runs(tmp_path) if (run / "DONE").exists()]
    assert sorted(status) == ["completed\n", "diverged\n"]
    again = sweep("optimizer=sgd", "optimizer.lr=0.1,1e30", "seed=0,1")

    assert "4 runs, 2 to train, 2 done" in again.text


def test_a_stacked_run_whose_folder_cannot_be_written_fails_alone(
    sweep: Callable[..., Any], tmp_path: Path
) -> None:
    taken = tmp_path / "outputs" / "sweeps" / "s" / "seed=1"
    taken.parent.mkdir(parents=True)
    taken.write_text("a file")

    outcome = sweep("seed=0,1,2")

    assert outcome.code == 1
    assert "1 of the sweep's jobs failed:" in outcome.text
    assert taken.name in outcome.text
    assert [(run / "DONE").exists() for run in runs(tmp_path)] == [True, True]


def test_a_stack_that_is_interrupted_goes_on_where_it_was(
    sweep: Callable[..., Any], train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("activae.sweeps.stack.fitting.StackFit._advance", interrupt_after(2))
        outcome = sweep("seed=0,1")

    assert outcome.code == 130, outcome.text

    resumed = train_py("resume=outputs/sweeps/s")

    assert resumed.code == 0, resumed.text
    for run in runs(tmp_path):
        assert "resumed at step" in (run / "train.log").read_text()
        assert (run / "DONE").read_text() == "completed\n"


def interrupt_after(chunks: int) -> Callable[..., None]:
    """Presses Ctrl-C after some chunks of steps."""
    from activae.sweeps.stack.fitting import StackFit

    advance, taken = StackFit._advance, []

    def advance_or_stop(self: StackFit, *args: Any) -> None:
        taken.append(1)
        self.stop_requested = len(taken) > chunks
        advance(self, *args)

    return advance_or_stop
