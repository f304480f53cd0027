"""`hydra/sweeper=optuna`: what is proposed, what becomes of it, and what is left on disk."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState

from activae.training.module import Interrupted

QUICK = ("trainer=debug", "logger=minimal", "data.train_fraction=0.1")
ONE = "hydra.launcher.workers=1"
SPACE = "optimizer.lr=tag(log,interval(1e-4,1e-1))"
WORKERS = "hydra.launcher.workers=2"

Search = Callable[..., Any]


@pytest.fixture
def search(train_py: Callable[..., Any]) -> Search:
    """`search(*arguments, trials=N)`: a small one by the name of s, in this process."""

    def run(*arguments: str, trials: int = 4, name: str = "s") -> Any:
        count = f"hydra.sweeper.n_trials={trials}"
        sweeper = ("-m", "hydra/sweeper=optuna", f"sweep={name}", count)
        return train_py(*sweeper, *QUICK, ONE, *arguments)

    return run


@pytest.fixture
def trials(tmp_path: Path) -> Callable[..., list[optuna.trial.FrozenTrial]]:
    """`trials()`: those of the study, as anybody reads it with Optuna alone."""

    def read(name: str = "s") -> list[optuna.trial.FrozenTrial]:
        url = f"sqlite:///{tmp_path}/outputs/sweeps/{name}/study.db"
        storage = optuna.storages.RDBStorage(url)
        try:
            return optuna.load_study(study_name=name, storage=storage).trials
        finally:
            storage.remove_session()
            storage.engine.dispose()

    return read


Trials = Callable[..., list[optuna.trial.FrozenTrial]]


def run_folders(tmp_path: Path) -> list[Path]:
    return sorted(f.parent for f in (tmp_path / "outputs" / "sweeps" / "s").glob("*/DONE"))


def test_a_search_leaves_runs_the_study_and_the_best(
    search: Search, trials: Trials, tmp_path: Path
) -> None:
    outcome = search("activation=relu,tanh", SPACE, trials=2)

    assert outcome.code == 0, outcome.text
    assert "completed     1/2  " in outcome.text
    assert "completed     2/2  " in outcome.text
    assert outcome.text.count("best   trial ") >= 2  # after a batch too
    found = trials()
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 2
    assert {folder.name for folder in run_folders(tmp_path)} == {
        Path(trial.user_attrs["folder"]).name for trial in found
    }
    best = min(found, key=lambda trial: trial.value)
    kept = OmegaConf.load(tmp_path / "outputs" / "sweeps" / "s" / "optimization_results.yaml")
    assert kept.best_params == best.params
    assert kept.best_value == best.value
    metrics = json.loads((tmp_path / kept.folder / "metrics.json").read_text())
    assert metrics["val"]["SE"] == best.value
    assert metrics["test"] is None
    assert "trials 2 completed, 0 pruned, 0 diverged, 0 failed" in outcome.text
    assert f"best   trial {best.number}: SE/val {best.value:.4g} with activation=" in outcome.text
    assert f"optuna-dashboard sqlite:///{tmp_path}/outputs/sweeps/s/study.db" in outcome.text
    assert "tensorboard --logdir" not in outcome.text  # with logger=minimal

    assert "2 trials, 0 to train, 2 done" in search("activation=relu,tanh", SPACE, trials=2).text
    assert "3 trials, 1 to train, 2 done" in search("activation=relu,tanh", SPACE, trials=3).text
    assert len(trials()) == len(run_folders(tmp_path)) == 3


def test_an_interrupted_search_is_resumed_by_its_folder(
    search: Search,
    trials: Trials,
    train_py: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from activae.results import run as training

    trained, train_settled = [], training.train_settled

    def interrupted_at_the_second(cfg: Any, folder: Path, shared: Any) -> Any:
        trained.append(folder)
        if len(trained) == 2:
            raise Interrupted
        return train_settled(cfg, folder, shared)

    monkeypatch.setattr(training, "train_settled", interrupted_at_the_second)
    outcome = search(SPACE, "hydra.sweeper.n_jobs=2", trials=3)

    assert outcome.code == 130
    assert [trial.state for trial in trials()] == [TrialState.RUNNING] * 2

    for _ in range(2):
        resumed = train_py("resume=outputs/sweeps/s")
        assert resumed.code == 0, resumed.text

    assert [trial.state for trial in trials()] == [TrialState.COMPLETE] * 3
    assert len(run_folders(tmp_path)) == 3
    assert len(trained) == 4  # the one that was cut off, twice
    index = json.loads((tmp_path / "outputs" / "sweeps" / "s" / "sweep.json").read_text())
    assert len(index["commands"]) == 1


# The first trial of this seed has the larger rate, and so has the second not.
BAD_SECOND = (
    "optimizer=sgd",
    "optimizer.lr=0.5,1e-5",
    "hydra.sweeper.sampler.name=random",
    "hydra.sweeper.sampler.seed=3",
    "hydra.sweeper.pruner.name=median",
    "+hydra.sweeper.pruner.n_startup_trials=1",
    "trainer.max_epochs=6",
    "trainer.max_steps=null",
)


@pytest.mark.parametrize("stack", ["true", "false"])
def test_pruning_ends_a_bad_trial_early_and_says_so(
    stack: str, search: Search, trials: Trials, tmp_path: Path
) -> None:
    how = (f"hydra.launcher.stack={stack}", "trainer.detect_anomaly=false")
    outcome = search(*BAD_SECOND, *how, trials=2)

    assert outcome.code == 0, outcome.text
    good, bad = trials()
    assert (good.state, bad.state) == (TrialState.COMPLETE, TrialState.PRUNED)
    assert list(good.intermediate_values) == [1, 2, 3, 4, 5, 6]
    assert list(bad.intermediate_values) == [1]
    assert bad.value == bad.intermediate_values[1]
    folder = tmp_path / bad.user_attrs["folder"]
    assert (folder / "DONE").read_text() == "pruned\n"
    metrics = json.loads((folder / "metrics.json").read_text())
    whole = json.loads((tmp_path / good.user_attrs["folder"] / "metrics.json").read_text())
    assert metrics["status"] == "pruned"
    assert metrics["steps"] == whole["steps"] / 6
    assert metrics.keys() == whole.keys()
    assert "1 completed, 1 pruned" in outcome.text
    assert ("stack  1 runs like" in outcome.text) == (stack == "true")


def test_a_trial_killed_before_its_folder_says_pruned_is_pruned_all_the_same(
    search: Search, trials: Trials, train_py: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from activae.results import run as training

    score = training.score

    def killed_when_pruned(cfg: Any, model: Any, *rest: Any) -> Any:
        if model.step < model.total_steps:
            raise KeyboardInterrupt
        return score(cfg, model, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(training, "score", killed_when_pruned)
        assert search(*BAD_SECOND, trials=2).code == 130
    before = trials()[1]
    assert before.state == TrialState.RUNNING

    assert train_py("resume=outputs/sweeps/s").code == 0
    after = trials()[1]
    assert after.state == TrialState.PRUNED
    assert after.intermediate_values == before.intermediate_values == {1: after.value}


def test_trials_are_pruned_in_processes_of_their_own(search: Search, trials: Trials) -> None:
    band = ("hydra.sweeper.pruner.name=hyperband", "+hydra.sweeper.pruner.max_resource=6")

    outcome = search(
        *BAD_SECOND, *band, "~hydra.sweeper.pruner.n_startup_trials", WORKERS, trials=2
    )

    assert outcome.code == 0, outcome.text
    states = [trial.state for trial in trials()]
    assert set(states) <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(trial.intermediate_values for trial in trials())


def test_a_failed_trial_is_named_and_tried_again(
    search: Search, trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    from activae.results import run as training

    build_model, calls = training.build_model, []

    def broken_once(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise ZeroDivisionError("a bug")
        return build_model(*args)

    monkeypatch.setattr(training, "build_model", broken_once)
    outcome = search(SPACE, trials=2)

    assert outcome.code == 1
    failed = trials()[1]
    assert "1 of the sweep's jobs failed:\n" in outcome.text
    assert f"{failed.user_attrs['folder']}: ZeroDivisionError: a bug" in " ".join(
        outcome.text.split()
    )
    states = [trial.state for trial in trials()]
    assert states == [TrialState.COMPLETE, TrialState.FAIL]

    again = search(SPACE, trials=2)

    assert again.code == 0, again.text
    assert trials()[2].params == failed.params
    assert trials()[2].state == TrialState.COMPLETE
    assert len(trials()) == 3


def test_a_diverged_trial_is_the_worst_but_no_failure(search: Search, trials: Trials) -> None:
    outcome = search(
        "optimizer=sgd", "optimizer.lr=1e30,0.1", "trainer.detect_anomaly=false", trials=2
    )

    assert outcome.code == 0, outcome.text
    values = {trial.params["optimizer.lr"]: trial.value for trial in trials()}
    assert values[1e30] == math.inf
    assert math.isfinite(values[0.1])
    assert "with optimizer.lr=0.1" in outcome.text


def test_a_search_without_any_result_fails(search: Search) -> None:
    outcome = search(
        "optimizer=sgd", "optimizer.lr=1e30,1e31", "trainer.detect_anomaly=false", trials=2
    )

    assert outcome.code == 1
    assert "none of the 2 trials was trained to its end" in outcome.text


def test_another_search_does_not_mix_with_the_first(search: Search) -> None:
    search(SPACE, trials=1)

    other = search("activation=relu,tanh", trials=1)

    other.assert_one_error("holds another search", "sweep=NAME", SPACE, "activation=relu,tanh")


def test_a_mistake_in_one_option_is_met_before_anything_is_trained(
    search: Search, tmp_path: Path
) -> None:
    search("activation=relu,tanhh").assert_one_error("activation=tanhh", "Did you mean tanh?")
    search("optimizer.lrr=interval(0,1)").assert_one_error("optimizer.lrr", "there is no such key")

    assert not (tmp_path / "outputs").exists()


def test_a_search_without_optuna_says_how_to_get_it(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    for name in [name for name in sys.modules if name.startswith("optuna.")]:
        monkeypatch.setitem(sys.modules, name, None)

    search(SPACE).assert_one_error("pip install 'activae[optuna]'")


def test_a_setting_that_cannot_work_is_named(search: Search) -> None:
    search(SPACE, trials=0).assert_one_error("hydra.sweeper.n_trials=0", "1 or more")
    search(SPACE, "hydra.sweeper.n_jobs=-1").assert_one_error("hydra.sweeper.n_jobs=-1")
    search(SPACE, "hydra.sweeper.pruner=median").assert_one_error("hydra.sweeper.pruner.name=NAME")


def test_something_must_be_searched(search: Search) -> None:
    search("optimizer.lr=0.1").assert_one_error("nothing to search", "interval(")


class TestSeveralSeeds:
    def test_the_objective_is_the_mean_over_them(
        self, search: Search, trials: Trials, tmp_path: Path
    ) -> None:
        outcome = search("seed=5", SPACE, "hydra.sweeper.seeds=3", trials=2)

        assert outcome.code == 0, outcome.text
        runs = [json.loads((f / "metrics.json").read_text()) for f in run_folders(tmp_path)]
        assert sorted(run["seed"] for run in runs) == [5, 5, 6, 6, 7, 7]
        errors: dict[str, list[float]] = {}
        for folder, run in zip(run_folders(tmp_path), runs, strict=True):
            lr = repr(OmegaConf.load(folder / "config.yaml").optimizer.lr)
            errors.setdefault(lr, []).append(run["val"]["SE"])
        for trial in trials():
            own = errors[repr(trial.params["optimizer.lr"])]
            assert trial.value == pytest.approx(sum(own) / 3)
        assert ", mean of 3 seeds, with" in outcome.text

        again = search("seed=5", SPACE, "hydra.sweeper.seeds=3", trials=2)
        assert "2 trials, 0 to train, 2 done" in again.text
        search("seed=5", SPACE, trials=2).assert_one_error("holds another search", "sweep=NAME")

    def test_a_pruned_trial_gets_no_further_seeds(
        self, search: Search, trials: Trials, tmp_path: Path
    ) -> None:
        outcome = search(*BAD_SECOND, "hydra.sweeper.seeds=2", trials=2)

        assert outcome.code == 0, outcome.text
        good, bad = trials()
        assert (good.state, bad.state) == (TrialState.COMPLETE, TrialState.PRUNED)
        assert list(good.intermediate_values) == [1, 2]
        assert list(bad.intermediate_values) == [1]
        assert len(run_folders(tmp_path)) == 3
        assert "1 completed, 1 pruned" in outcome.text

    def test_one_that_diverges_counts_as_the_worst(self, search: Search, trials: Trials) -> None:
        outcome = search(
            "optimizer=sgd", "optimizer.lr=1e30,0.01", "hydra.sweeper.seeds=2",
            "hydra.sweeper.sampler.name=random", trials=4,
        )  # fmt: skip

        assert outcome.code == 0, outcome.text
        assert math.inf in {trial.value for trial in trials()}

    def test_by_a_number(self, search: Search) -> None:
        search(SPACE, "hydra.sweeper.seeds=0").assert_one_error(
            "hydra.sweeper.seeds=0", "1 or more"
        )
