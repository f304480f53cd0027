"""`experiment=tune_lr`: the learning rate of each activation, on a grid that extends itself.

`experiment=compare_activations` then scores each with its best one on other seeds, on test.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from activae.errors import ConfigError, SweepFailed
from activae.results.run_folder import close, write_metrics
from activae.sweeps.tuning import Grid, tune

GRID = {
    "key": "optimizer.lr",
    "start": 1e-3,
    "factor": 2,
    "points": 8,
    "extend": 2,
    "limit": 4,
    "seeds": [7, 8],
}
FIXED = "trainer=debug"

# SE/val of (activation, lr, seed); None: the job fails.
Landscape = Callable[[str, float, int], float | None]


class StandIn:
    """A launcher that does not train: what comes out is a function of the overrides."""

    def __init__(self, folder: Path, landscape: Landscape) -> None:
        self.folder = folder
        self.landscape = landscape
        self.batches: list[list[dict[str, str]]] = []

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        assert initial_job_idx == sum(map(len, self.batches))
        chosen = [dict(line.split("=", 1) for line in lines) for lines in jobs]
        self.batches.append(chosen)
        return [self._ended(number, each) for number, each in enumerate(chosen, initial_job_idx)]

    def _ended(self, number: int, job: dict[str, str]) -> JobReturn:
        folder = self.folder / str(number)
        folder.mkdir()
        value = self.landscape(job["activation"], float(job["optimizer.lr"]), int(job["seed"]))
        found = JobReturn(working_dir=str(folder), status=JobStatus.COMPLETED)
        if value is None:
            (folder / "FAILED").write_text("no room\n")
            found = Failed(working_dir=str(folder))
        elif math.isinf(value):
            self._close(folder, "diverged")
            found = Failed(working_dir=str(folder))
        else:
            self._close(folder, "completed")
            found._return_value = value
        return found

    @staticmethod
    def _close(folder: Path, status: str) -> None:
        write_metrics(folder, {"status": status})
        close(folder, status)


class Failed(JobReturn):
    @property
    def return_value(self) -> Any:
        raise SweepFailed("some of the sweep's jobs failed")


Tune = Callable[..., tuple[dict[str, dict[str, Any]], StandIn]]


@pytest.fixture
def tuned(tmp_path: Path) -> Tune:
    """`tuned(landscape, *lines, **settings)`: the table's rows by condition, and the launcher."""

    def run(landscape: Landscape, *lines: str, **settings: Any) -> Any:
        launcher = StandIn(tmp_path, landscape)
        hydra = {
            "sweep": {"dir": str(tmp_path)},
            "runtime": {"choices": {"activation": "relu"}},
            "sweeper": {},
        }
        config = OmegaConf.create({"hydra": hydra})
        assert isinstance(config, DictConfig)
        loader: Any = None
        with_launcher: Any = launcher
        chosen = lines or ("activation=relu", FIXED)
        tune(loader, config, with_launcher, Grid(**(GRID | settings)), chosen)
        rows = json.loads((tmp_path / "tuned_lr.json").read_text())
        return {row["condition"]: row for row in rows}, launcher

    return run


def valley(best: float) -> Landscape:
    """Lowest at `best`, by the logarithm of the learning rate."""
    return lambda activation, lr, seed: abs(math.log2(lr / best))


def test_the_best_by_the_mean_over_the_seeds_is_chosen(tuned: Tune, tmp_path: Path) -> None:
    def landscape(activation: str, lr: float, seed: int) -> float:
        best = {"relu": 0.008, "tanh": 0.016}[activation]
        lucky = 5.0 if (lr, seed) == (0.032, 7) else 0.0
        return 2 + abs(math.log2(lr / best)) - lucky + (8.0 if (lr, seed) == (0.032, 8) else 0)

    rows, launcher = tuned(landscape, "activation=relu,tanh", FIXED)

    assert OmegaConf.load(tmp_path / "tuned_lr.yaml") == {"relu": 0.008, "tanh": 0.016}
    assert rows["relu"]["SE/val"] == 2
    assert (rows["tanh"]["extended"], rows["tanh"]["at_edge"]) == ("no", "no")
    lrs = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128]
    assert list(map(float, rows["relu"]["grid"])) == lrs
    assert [len(batch) for batch in launcher.batches] == [2 * 8 * 2]
    assert {job["seed"] for job in launcher.batches[0]} == {"7", "8"}
    assert {job["trainer"] for job in launcher.batches[0]} == {"debug"}


@pytest.mark.parametrize(
    ("given", "scored"), [((), "false"), (("score.test=true",), "true")], ids=["default", "asked"]
)
def test_the_test_split_is_left_to_the_runs_that_compare(
    given: tuple[str, ...], scored: str, tuned: Tune
) -> None:
    _, launcher = tuned(valley(0.008), "activation=relu", *given)

    assert {job["score.test"] for job in launcher.batches[0]} == {scored}


def test_the_table_has_the_names_whole(tuned: Tune, caplog: pytest.LogCaptureFixture) -> None:
    widths = "[1024,512,256,128,64,32]"

    with caplog.at_level("INFO"):
        tuned(valley(0.008), f"encoder.hidden={widths},[8]", FIXED, "activation=relu")

    [line] = [line for line in caplog.messages if line.endswith(f"  {widths}")]
    assert line.split()[0] == "0.008"


def test_it_ends_with_the_commands_that_use_the_rates_best_first(
    tuned: Tune, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def landscape(activation: str, lr: float, seed: int) -> float:
        best = {"relu": 0.008, "tanh": 0.016}[activation]
        return (1 if activation == "tanh" else 2) + abs(math.log2(lr / best))

    with caplog.at_level("INFO"):
        tuned(landscape, "experiment=tune_lr", "sweep=s", "activation=relu,tanh", FIXED)

    shown = [line for line in caplog.messages if line.startswith("use ")]
    assert shown == [
        "use    python train.py -m activation=relu,tanh trainer=debug "
        f"lr={tmp_path / 'tuned_lr.yaml'} 'seed=range(5)'",
        "use    python train.py activation=tanh trainer=debug optimizer.lr=0.016",
        "use    python train.py activation=relu trainer=debug optimizer.lr=0.008",
    ]


@pytest.mark.parametrize(("best", "extended"), [(0.0005, "down"), (0.256, "up")])
def test_the_grid_extends_itself_beyond_the_edge_with_the_best(
    best: float, extended: str, tuned: Tune
) -> None:
    rows, launcher = tuned(valley(best))

    assert rows["relu"]["lr"] == best
    assert rows["relu"]["extended"] == extended
    assert rows["relu"]["at_edge"] == "no"
    assert len(rows["relu"]["grid"]) == 10
    assert [len(batch) for batch in launcher.batches] == [16, 4]


def test_only_the_condition_at_its_edge_is_extended(tuned: Tune) -> None:
    def landscape(activation: str, lr: float, seed: int) -> float:
        return abs(math.log2(lr / {"relu": 0.008, "tanh": 0.256}[activation]))

    _, launcher = tuned(landscape, "activation=relu,tanh", FIXED)

    assert {job["activation"] for job in launcher.batches[1]} == {"tanh"}


@pytest.mark.parametrize(
    ("best", "lr", "edge"), [(1e-9, 1e-3 / 16, "lowest"), (1e9, 2.048, "highest")]
)
def test_at_its_limit_the_grid_ends_and_says_so(
    best: float, lr: float, edge: str, tuned: Tune, caplog: pytest.LogCaptureFixture
) -> None:
    rows, launcher = tuned(valley(best))

    assert rows["relu"]["lr"] == lr
    assert rows["relu"]["at_edge"] == edge
    assert [len(batch) for batch in launcher.batches] == [16, 4, 4]
    assert "at the edge of the grid after all: relu; hydra.sweeper.limit" in caplog.text


def test_a_diverged_learning_rate_is_the_worst_and_no_failure(tuned: Tune) -> None:
    def landscape(activation: str, lr: float, seed: int) -> float:
        return math.inf if lr > 0.005 and seed == 7 else -lr

    rows, _ = tuned(landscape)

    assert rows["relu"]["lr"] == 0.004
    assert rows["relu"]["grid"]["0.008"] is None


def test_where_all_diverge_smaller_rates_are_tried(tuned: Tune, tmp_path: Path) -> None:
    rows, _ = tuned(lambda activation, lr, seed: math.inf if lr > 4e-4 else lr)
    assert rows["relu"]["extended"] == "down"
    assert rows["relu"]["lr"] is not None


def test_where_none_trains_the_table_says_none(tuned: Tune, tmp_path: Path) -> None:
    rows, _ = tuned(lambda activation, lr, seed: math.inf)

    assert rows["relu"]["lr"] is None
    assert OmegaConf.load(tmp_path / "tuned_lr.yaml") == {"relu": None}


def test_a_failed_job_is_named_at_the_end_and_ends_the_extending(
    tuned: Tune, tmp_path: Path
) -> None:
    def landscape(activation: str, lr: float, seed: int) -> float | None:
        return None if (lr, seed) == (0.002, 8) else lr

    with pytest.raises(SweepFailed, match=r"1 of the sweep's jobs failed:\n  .*:\s+no\s+room"):
        tuned(landscape)

    rows = json.loads((tmp_path / "tuned_lr.json").read_text())
    assert (rows[0]["lr"], rows[0]["at_edge"], rows[0]["extended"]) == (0.001, "lowest", "no")


def test_other_values_make_other_conditions_and_seeds_can_be_given(
    tuned: Tune, tmp_path: Path
) -> None:
    rows, launcher = tuned(valley(0.008), "activation=relu,tanh", "encoder=mlp,conv", "seed=1,2,3")

    assert list(rows) == ["relu,mlp", "relu,conv", "tanh,mlp", "tanh,conv"]
    kept = OmegaConf.load(tmp_path / "tuned_lr.yaml")  # by key, so that lr=FILE finds them
    assert list(kept)[1] == "activation=relu encoder=conv"
    assert {job["seed"] for job in launcher.batches[0]} == {"1", "2", "3"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"points": 7}, r"hydra\.sweeper\.points=7: must be a whole number of 8 or more"),
        ({"factor": 2.5}, r"hydra\.sweeper\.factor=2\.5: must be a number above 1, and 2"),
        ({"factor": 1}, r"hydra\.sweeper\.factor=1"),
        ({"start": 0}, r"hydra\.sweeper\.start=0: must be a number above 0"),
        ({"extend": 0}, r"hydra\.sweeper\.extend=0"),
        ({"limit": -1}, r"hydra\.sweeper\.limit=-1"),
        ({"seeds": []}, r"hydra\.sweeper\.seeds=\[\]: must be a list of whole numbers"),
    ],
)
def test_a_grid_that_cannot_tell_the_best_is_refused(
    settings: Any, complaint: str, tuned: Tune
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        tuned(valley(1), **settings)


def test_what_is_tuned_cannot_be_given_too(tuned: Tune) -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr=0\.1: optimizer\.lr is what is tuned"):
        tuned(valley(1), "activation=relu", "optimizer.lr=0.1")
    with pytest.raises(ConfigError, match=r"lr=0\.1: the learning rate is what is tuned"):
        tuned(valley(1), "activation=relu", "lr=0.1")
    with pytest.raises(ConfigError, match=r"only listed values can be combined"):
        tuned(valley(1), "data.train_fraction=interval(0,1)")


def scored(launcher: StandIn) -> list[dict[str, str]]:
    """The jobs that score, which are launched last."""
    assert all(job["score.test"] == "false" for batch in launcher.batches[:-1] for job in batch)
    assert all(job["score.test"] == "true" for job in launcher.batches[-1])
    return launcher.batches[-1]


class TestScoring:
    def test_is_by_fresh_seeds_with_the_best_rate_of_each(self, tuned: Tune) -> None:
        def landscape(activation: str, lr: float, seed: int) -> float:
            return abs(math.log2(lr / {"relu": 0.008, "tanh": 0.016}[activation]))

        _, launcher = tuned(landscape, "activation=relu,tanh", FIXED, score_seeds=9)

        jobs = scored(launcher)
        rates = {job["activation"]: job["optimizer.lr"] for job in jobs}
        assert rates == {"relu": "0.008", "tanh": "0.016"}
        fresh = ["0", "1", "2", "3", "4", "5", "6", "9", "10"]  # 7 and 8 tuned
        assert [job["seed"] for job in jobs] == fresh * 2
        assert {job["trainer"] for job in jobs} == {"debug"}

    def test_comes_after_the_grid_has_grown(self, tuned: Tune) -> None:
        _, launcher = tuned(valley(0.256), score_seeds=1)

        assert [len(batch) for batch in launcher.batches] == [16, 4, 1]
        assert scored(launcher)[0]["optimizer.lr"] == "0.256"

    def test_takes_the_seeds_that_the_command_gives(self, tuned: Tune) -> None:
        _, launcher = tuned(valley(0.008), "activation=relu", "seed=range(20,23)", score_seeds=12)

        assert [job["seed"] for job in scored(launcher)] == ["20", "21", "22"]
        assert {job["seed"] for job in launcher.batches[0]} == {"7", "8"}

    def test_refuses_a_seed_that_tunes(self, tuned: Tune) -> None:
        with pytest.raises(ConfigError, match=r"seed=7, seed=8: tunes already"):
            tuned(valley(1), "activation=relu", "seed=range(12)", score_seeds=12)

    def test_leaves_no_say_about_the_test_split(self, tuned: Tune) -> None:
        with pytest.raises(ConfigError, match=r"score\.test=false: runs that tune never see"):
            tuned(valley(1), "activation=relu", "score.test=false", score_seeds=12)

    def test_includes_what_diverges_with_every_rate(self, tuned: Tune) -> None:
        def landscape(activation: str, lr: float, seed: int) -> float:
            return math.inf if activation == "relu" else lr

        _, launcher = tuned(landscape, "activation=relu,tanh", score_seeds=2)

        assert [job["activation"] for job in scored(launcher)] == ["relu", "relu", "tanh", "tanh"]

    def test_waits_for_what_failed_to_be_tuned(
        self, tuned: Tune, caplog: pytest.LogCaptureFixture
    ) -> None:
        def landscape(activation: str, lr: float, seed: int) -> float | None:
            return None if (activation, lr) == ("relu", 0.002) else lr

        with pytest.raises(SweepFailed, match="2 of the sweep's jobs failed"):
            tuned(landscape, "activation=relu,tanh", score_seeds=2)

        assert "not scored, because runs that tune it failed: relu" in caplog.text

    def test_by_a_number_of_seeds(self, tuned: Tune) -> None:
        with pytest.raises(ConfigError, match=r"score_seeds=-1: must be a whole number of 0"):
            tuned(valley(1), score_seeds=-1)


def test_a_comparison_is_one_command_that_trains_nothing_twice(
    train_py: Callable[..., Any], tmp_path: Path
) -> None:
    command = (
        *("-m", "experiment=compare_quick", "activation=tanh,relu", "sweep=s", "trainer=debug"),
        *("data.train_fraction=0.1", "hydra.launcher.workers=1", "seed=0,1"),
        *("hydra.sweeper.seeds=[5]", "hydra.sweeper.limit=0"),
    )
    outcome = train_py(*command)

    assert outcome.code == 0, outcome.text
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    done = {file: file.stat().st_mtime_ns for file in sweep.glob("*/DONE")}
    tested = [path for path in done if metrics_beside(path)["test"] is not None]
    assert (len(done), len(tested)) == (2 * 8 + 2 * 2, 2 * 2)
    chosen = OmegaConf.load(sweep / "tuned_lr.yaml")
    configs = [OmegaConf.load(path.with_name("config.yaml")) for path in tested]
    assert {config.optimizer.lr for config in configs} == set(chosen.values())
    assert "\nanswer no clear winner: 2 seeds can show none" in outcome.text

    again = train_py("resume=outputs/sweeps/s")

    assert again.code == 0, again.text
    assert {file: file.stat().st_mtime_ns for file in sweep.glob("*/DONE")} == done
    assert "\nanswer no clear winner: 2 seeds can show none" in again.text


def metrics_beside(done: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.with_name("metrics.json").read_text())
    return found


def test_the_experiment_tunes_from_the_command_line_and_trains_nothing_twice(
    train_py: Callable[..., Any], tmp_path: Path
) -> None:
    command = (
        *("-m", "experiment=tune_lr", "activation=tanh", "sweep=s", "trainer=debug"),
        *("data.train_fraction=0.1", "hydra.launcher.workers=1"),
        *("hydra.sweeper.seeds=[5]", "hydra.sweeper.limit=0"),
    )
    outcome = train_py(*command)

    assert outcome.code == 0, outcome.text
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    table = json.loads((sweep / "tuned_lr.json").read_text())
    assert OmegaConf.load(sweep / "tuned_lr.yaml") == {"tanh": table[0]["lr"]}
    done = {file: file.stat().st_mtime_ns for file in sweep.glob("*/DONE")}
    assert len(done) == 8

    again = train_py("resume=outputs/sweeps/s")

    assert again.code == 0, again.text
    assert json.loads((sweep / "tuned_lr.json").read_text()) == table
    assert {file: file.stat().st_mtime_ns for file in sweep.glob("*/DONE")} == done


def test_a_sweep_and_a_run_take_the_rates_of_a_file(
    train_py: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "tuned_lr.yaml").write_text("relu: 0.008\ntanh: 0.016\n")
    quick = ("trainer=debug", "logger=minimal", "data.train_fraction=0.1")

    def swept(*rates: str) -> Any:
        how = ("-m", "sweep=s", "hydra.launcher.workers=1", *quick)
        return train_py(*how, "activation=relu,tanh,elu", *rates)

    outcome = swept("lr=tuned_lr.yaml")

    assert outcome.code == 1
    told = " ".join(outcome.text.rpartition("jobs failed:")[2].split())
    assert "lr=tuned_lr.yaml: has no rate for activation=elu" in told
    configs = (tmp_path / "outputs/sweeps/s").glob("*/config.yaml")
    rates = {file.parent.name: OmegaConf.load(file).optimizer.lr for file in configs}
    assert rates == {"relu": 0.008, "tanh": 0.016}

    again = train_py("-m", "sweep=s", *quick, "activation=relu", "optimizer.lr=0.008")
    assert "1 run, 0 to train, 1 done" in again.text  # written out it is the same run

    (tmp_path / "tuned_lr.yaml").write_text("relu: 0.008\ntanh: 0.016\nelu: 0.004\n")
    again = train_py("resume=outputs/sweeps/s")
    assert "3 runs, 1 to train, 2 done" in again.text

    alone = train_py(*quick, "activation=tanh", "lr=tuned_lr.yaml", "hydra.run.dir=alone")
    assert alone.code == 0, alone.text
    assert OmegaConf.load(tmp_path / "alone/config.yaml").optimizer.lr == 0.016


def test_ctrl_c_between_two_batches_says_how_to_go_on(
    train_py: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("activae.sweeps.tuning.find_rates", interrupted)

    outcome = train_py("-m", "experiment=tune_lr", "activation=relu", "sweep=s")

    assert outcome.code == 130
    assert "interrupted; continue with: python train.py resume=outputs/sweeps/s" in outcome.text
