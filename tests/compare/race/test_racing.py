"""`experiment=race`: who leaves when, when it ends, what it says, how it goes on."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from activae.compare.race import racing as module
from activae.compare.race.racing import Budget, race
from activae.errors import ConfigError, SweepFailed
from activae.results.run_folder import close, write_metrics
from activae.sweeps.tuning import Grid

GRID: dict[str, Any] = {
    "key": "optimizer.lr",
    "start": 1e-3,
    "factor": 2,
    "points": 8,
    "extend": 2,
    "limit": 0,
    "seeds": [1000],
}
TUNING_SEED = 1000  # the best rate of any other is 2.5 times that
BEST_LR = 0.008
SECONDS_A_RUN = 10.0

# SE/test of (activation, seed); inf: it diverges; None: the job fails.
Landscape = Callable[[str, int], float | None]


def noise(activation: str, seed: int) -> float:
    return float(np.random.default_rng([seed, *activation.encode()]).standard_normal())


def of_means(**means: float) -> Landscape:
    """Scores about a mean: paired differences have a standard deviation of 1.4."""
    return lambda activation, seed: 10 + means[activation] + noise(activation, seed)


def clear(activation: str, seed: int) -> float:
    return of_means(relu=20, tanh=0, gelu=20)(activation, seed)


def twins(activation: str, seed: int) -> float:
    return of_means(relu=0, tanh=0, gelu=20)("relu" if activation == "tanh" else activation, seed)


class Clock:
    """Time that passes with each run that is trained."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class StandIn:
    """A launcher that does not train: what comes out is a function of the overrides."""

    def __init__(self, folder: Path, landscape: Landscape, clock: Clock) -> None:
        self.folder = folder
        self.landscape = landscape
        self.clock = clock
        self.trained: list[dict[str, str]] = []
        self.batches: list[int] = []

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self.batches.append(len(jobs))
        return [self._ended(dict(line.split("=", 1) for line in lines)) for lines in jobs]

    def raced(self, activation: str) -> list[int]:
        """The seeds with which it was trained, but for those that tune."""
        seeds = [int(job["seed"]) for job in self.trained if job["activation"] == activation]
        return [seed for seed in seeds if seed != TUNING_SEED]

    def tunes(self, lr: float, best: float) -> float | None:
        return math.log2(lr / best) ** 2

    def _ended(self, job: dict[str, str]) -> JobReturn:
        lr, seed = float(job["optimizer.lr"]), int(job["seed"])
        folder = self.folder / f"{job['activation']},{lr},{seed}"
        best = BEST_LR if seed == TUNING_SEED else 2.5 * BEST_LR
        value = self.tunes(lr, best)
        if seed < TUNING_SEED:
            assert job["score.test"] == "true"
            value = self.landscape(job["activation"], seed)
        if not folder.exists():
            self.trained.append(job)
            self.clock.now += SECONDS_A_RUN
            folder.mkdir()
            if value is None:
                (folder / "FAILED").write_text("no room\n")
            else:
                status = "completed" if math.isfinite(value) else "diverged"
                test = {"test": {"SE": value}} if status == "completed" else {}
                write_metrics(folder, {"status": status, **test})
                close(folder, status)
        if value is None or math.isinf(value):
            return Failed(working_dir=str(folder))
        found = JobReturn(working_dir=str(folder), status=JobStatus.COMPLETED)
        found._return_value = value
        return found


class Failed(JobReturn):
    @property
    def return_value(self) -> Any:
        raise SweepFailed("some of the sweep's jobs failed")


@dataclass
class Outcome:
    launcher: StandIn
    record: dict[str, Any]
    text: str

    def row(self, activation: str) -> dict[str, Any]:
        return next(row for row in self.record["conditions"] if row["condition"] == activation)


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Run:
    """`run(landscape, *lines, seeds=, minutes=, alpha=)`: the race in tmp_path."""
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)

    def raced(landscape: Landscape, *lines: str, seeds: Any = 60, **budget: Any) -> Outcome:
        launcher: Any = StandIn(tmp_path, landscape, clock)
        hydra = {
            "sweep": {"dir": str(tmp_path)},
            "runtime": {
                "choices": {"activation": "relu"},
                "config_sources": [
                    {"provider": "command-line", "path": path}
                    for path in budget.pop("config_dirs", ())
                ],
            },
            "sweeper": {},
            "launcher": {"workers": budget.pop("workers", 2)},
        }
        config = OmegaConf.create({"hydra": hydra})
        assert isinstance(config, DictConfig)
        chosen = lines or ("activation=relu,tanh,gelu",)
        budgeted = Budget(seeds, budget.pop("minutes", None), budget.pop("alpha", 0.05))
        grid = Grid(**GRID | {"seeds": budget.pop("tuning", [TUNING_SEED])})
        assert not budget
        loader: Any = None
        caplog.clear()
        with caplog.at_level(logging.INFO):
            race(loader, config, launcher, grid, budgeted, chosen)
        record = json.loads((tmp_path / "race.json").read_text())
        return Outcome(launcher, record, "\n".join(caplog.messages))

    return raced


class TestTheEnd:
    def test_a_clear_winner_ends_it_early(self, run: Run) -> None:
        found = run(clear)

        assert found.record["best"] == ["tanh"]
        assert 5 <= found.record["seeds"] <= 9
        assert "answer tanh is best: the other 2 have left the race" in found.text
        assert found.row("relu")["evidence"] >= 20
        assert found.row("relu")["most from"] == "tanh"

    def test_who_has_left_is_trained_no_more(self, run: Run) -> None:
        found = run(of_means(relu=0, tanh=0.2, gelu=20), seeds=12)

        left = found.row("gelu")["left after"]
        assert 5 <= left <= 9
        assert found.launcher.raced("gelu") == list(range(left))
        assert found.launcher.raced("relu") == found.launcher.raced("tanh") == list(range(12))

    def test_twins_run_to_the_end_of_the_budget_and_are_the_best_set(self, run: Run) -> None:
        found = run(twins, seeds=30)

        assert found.record["seeds"] == 30
        assert sorted(found.record["best"]) == ["relu", "tanh"]
        assert " race.seeds=60\n" in found.text
        assert "the best is one of relu and tanh: 30 seeds cannot tell these apart" in found.text

    def test_one_that_always_diverges_leaves(self, run: Run) -> None:
        found = run(lambda a, s: math.inf if a == "gelu" else noise(a, s), seeds=15)

        assert "gelu" not in found.record["best"]
        assert found.row("gelu")["diverged"] == found.row("gelu")["seeds"] < 15

    def test_where_all_diverge_there_is_no_winner(self, run: Run) -> None:
        found = run(lambda activation, seed: math.inf, seeds=4)
        assert "answer no clear winner: all runs of relu, tanh and gelu diverged" in found.text

    def test_few_seeds_leave_all_in(self, run: Run) -> None:
        found = run(clear, seeds=3)
        assert "answer no clear winner: after 3 seeds all 3 are in; tanh leads" in found.text

    def test_one_of_which_a_run_fails_is_not_judged(self, run: Run, tmp_path: Path) -> None:
        def landscape(activation: str, seed: int) -> float | None:
            return None if (activation, seed) == ("gelu", 3) else noise(activation, seed)

        with pytest.raises(SweepFailed, match=r"1 of the sweep's jobs failed:\n  .*:\s+no\s+room"):
            run(landscape, seeds=8)

        record = json.loads((tmp_path / "race.json").read_text())
        assert "gelu" not in record["best"]
        assert record["verdict"].endswith("; gelu cannot be judged, because runs failed")
        assert record["conditions"][2]["seeds"] == 3

    def test_there_is_none_where_all_that_tunes_fails(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(StandIn, "tunes", lambda *_: None)

        with pytest.raises(SweepFailed, match=r"and \d+ more: no room$"):
            run(clear)

        assert not (tmp_path / "race.json").exists()


class TestTheBudget:
    # Three activations: the tuning takes 240 s, a seed 30 s.
    def test_no_seed_is_started_after_the_minutes(self, run: Run) -> None:
        found = run(twins, "activation=relu,tanh,gelu", minutes=6, alpha=1e-6)
        assert found.record["seeds"] == 4
        assert found.record["seconds"] == 360
        assert " race.minutes=12\n" in found.text

    def test_one_seed_is_trained_however_long_the_tuning_took(self, run: Run) -> None:
        assert run(twins, minutes=1).record["seeds"] == 1

    @pytest.mark.parametrize(
        ("budget", "complaint"),
        [
            ({"seeds": 0}, r"race\.seeds=0: must be a whole number of 1 or more"),
            ({"minutes": 0}, r"race\.minutes=0: must be a number above 0, or null"),
            ({"minutes": "ten"}, r"race\.minutes=ten"),
            ({"alpha": 1}, r"race\.alpha=1: must be a number between 0 and 1"),
        ],
    )
    def test_one_that_cannot_be_is_refused(
        self, budget: dict[str, Any], complaint: str, run: Run
    ) -> None:
        with pytest.raises(ConfigError, match=complaint):
            run(clear, **budget)


class TestGoingOn:
    def test_a_race_that_was_stopped_ends_as_if_it_had_not_been(
        self, run: Run, tmp_path: Path
    ) -> None:
        landscape = of_means(relu=0, tanh=1.5, gelu=20)
        stopped = run(landscape, seeds=8)
        found = run(landscape, seeds=40)

        assert found.launcher.raced("gelu") == []
        assert found.launcher.raced("relu")[0] == stopped.record["seeds"] == 8
        again = run(landscape, seeds=40)
        assert again.launcher.trained == []
        assert again.record == found.record

    def test_the_time_of_earlier_launches_counts(self, run: Run) -> None:
        first = run(twins, minutes=6, alpha=1e-6)
        assert run(twins, minutes=6, alpha=1e-6).launcher.trained == []
        more = run(twins, minutes=7, alpha=1e-6)
        assert (first.record["seeds"], more.record["seeds"]) == (4, 6)

    def test_a_damaged_record_costs_the_time_alone(self, run: Run, tmp_path: Path) -> None:
        whole = run(clear)
        (tmp_path / "race.json").write_text("[]")
        found = run(clear)
        assert found.launcher.trained == []
        assert found.record["conditions"] == whole.record["conditions"]

    def test_other_conditions_in_the_same_folder_are_another_race(self, run: Run) -> None:
        run(twins, minutes=6)
        assert run(clear, "activation=relu,tanh", minutes=6).record["best"] == ["tanh"]


class TestWhatItTrains:
    def test_each_has_its_best_rate_and_seeds_that_did_not_tune(self, run: Run) -> None:
        found = run(clear, seeds=2)
        raced = [job for job in found.launcher.trained if int(job["seed"]) != TUNING_SEED]
        tuning = [job for job in found.launcher.trained if int(job["seed"]) == TUNING_SEED]
        assert {job["optimizer.lr"] for job in raced} == {str(BEST_LR)}
        assert {job["score.test"] for job in tuning} == {"false"}
        assert {job["seed"] for job in raced} == {"0", "1"}

    def test_the_second_tuning_seed_trains_the_best_three_rates_of_the_first(
        self, run: Run
    ) -> None:
        found = run(clear, seeds=1, tuning=[TUNING_SEED, 1001])
        of_relu = [job for job in found.launcher.trained if job["activation"] == "relu"]
        rates = {
            seed: [float(job["optimizer.lr"]) for job in of_relu if job["seed"] == str(seed)]
            for seed in (TUNING_SEED, 1001, 0)
        }
        assert len(rates[TUNING_SEED]) == 8
        assert rates[1001] == [0.004, 0.008, 0.016]
        assert rates[0] == [0.016]  # by the mean of both seeds

    def test_what_is_said_of_the_race_is_not_said_to_its_runs(self, run: Run) -> None:
        found = run(clear, "activation=relu,tanh", "race.seeds=2", "trainer=debug", seeds=2)
        assert all("race.seeds" not in job for job in found.launcher.trained)
        assert all(job["trainer"] == "debug" for job in found.launcher.trained)

    def test_several_seeds_are_trained_together_where_processes_would_idle(self, run: Run) -> None:
        found = run(twins, "activation=relu,tanh", seeds=7, workers=6)
        assert found.launcher.batches == [16, 6, 6, 2]

    def test_the_seeds_that_race_can_be_given(self, run: Run) -> None:
        found = run(twins, "activation=relu,tanh", "seed=7,9,11,2,30")
        assert found.launcher.raced("relu") == [7, 9, 11, 2, 30]
        with pytest.raises(ConfigError, match="seed=1000: tunes already"):
            run(twins, "activation=relu,tanh", f"seed=1,2,3,4,{TUNING_SEED}")

    @pytest.mark.parametrize("line", ["seed=3", "seed=0,1", "seed=range(4)"])
    def test_too_few_for_anybody_to_leave_are_refused(self, line: str, run: Run) -> None:
        with pytest.raises(ConfigError, match=r"before seed 5 .*race\.seeds=N at the most"):
            run(twins, "activation=relu,tanh", line)

    def test_one_condition_is_no_race(self, run: Run) -> None:
        with pytest.raises(ConfigError, match="relu alone is no race"):
            run(clear, "activation=relu")


class TestWhatItSays:
    def test_a_log_has_a_line_for_each_seed(self, run: Run) -> None:
        text = run(of_means(relu=0, tanh=0.2, gelu=20), seeds=12).text
        assert "\nrace   seed 1: 3 of 3 in, " in text
        assert "\nrace   seed 12: 2 of 3 in, " in text
        assert "out: gelu (evidence " in text

    def test_a_terminal_has_one_where_somebody_leaves(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        text = run(of_means(relu=0, tanh=0.2, gelu=20), seeds=12).text
        assert text.count("\nrace   seed ") == 1

    def test_on_a_terminal_the_table_is_no_higher_than_it(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = [f"a{n}" for n in range(30)]
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("LINES", "24")
        run(of_means(**dict.fromkeys(names, 0.0)), f"activation={','.join(names)}", seeds=1)
        lines = capsys.readouterr().out.splitlines()
        first = next(n for n, line in enumerate(lines) if "0 of 1 seeds" in line)
        assert lines[first + 20] == "and 12 more"
        assert len(lines) == first + 21

    def test_the_guarantee_is_stated(self, run: Run) -> None:
        text = " ".join(run(clear, alpha=0.01).text.split())
        assert "the chance that the best of the 3 has left is 1 % at most" in text

    def test_of_many_that_are_in_eight_are_named(self, run: Run) -> None:
        names = [f"a{n}" for n in range(12)]
        landscape = of_means(**dict.fromkeys(names, 0.0) | {"a11": 30.0})
        verdict = run(landscape, f"activation={','.join(names)}", seeds=12).record["verdict"]
        listed = verdict.removeprefix("the best is one of ").partition(":")[0]
        assert listed.endswith(" and 3 more")
        assert listed.count(",") == 7

    def test_it_ends_with_the_command_that_trains_the_best(self, run: Run) -> None:
        lines = ("activation=relu,tanh", "experiment=race", "sweep=mine", 'data.path="my data.csv"')
        text = run(of_means(relu=20, tanh=0), *lines).text
        command = "python train.py activation=tanh 'data.path=my data.csv' optimizer.lr=0.008"
        assert f"use    {command}\n" in text

    def test_the_commands_it_ends_with_find_the_configs_that_it_had(
        self, run: Run, tmp_path: Path
    ) -> None:
        text = run(clear, seeds=1, config_dirs=["/home/me/my configs"]).text
        own = "'--config-dir=/home/me/my configs'"
        assert f"use    python train.py {own} activation=" in text
        assert f"longer python train.py resume={tmp_path} {own} race.seeds=2" in text

    def test_lines_have_80_columns_at_most(self, run: Run) -> None:
        names = [f"a_long_name_of_an_activation_{n}" for n in range(12)]
        landscape = of_means(**{name: 3.0 * n for n, name in enumerate(names)})
        text = run(landscape, f"activation={','.join(names)}", seeds=12).text
        table = text[text.index("\nanswer ") :].splitlines()
        assert set(names) <= set(table)  # whole, above their figures
        ours = text[text.index("race   seed 1:") :].splitlines()
        assert [
            line
            for line in ours
            if len(line) > 80 and "compare.py" not in line and "train.py" not in line
        ] == []


class TestFromTheCommandLine:
    QUICK = ("trainer=debug", "data.train_fraction=0.1", "hydra.launcher.workers=1")

    def test_it_races_and_trains_nothing_twice(
        self, train_py: Callable[..., Any], tmp_path: Path
    ) -> None:
        command = (
            *("-m", "experiment=race", "sweep=s", "activation=relu,tanh", "race.seeds=2"),
            *("hydra.sweeper.seeds=[5]", "hydra.sweeper.limit=0", *self.QUICK),
        )
        outcome = train_py(*command)

        assert outcome.code == 0, outcome.text
        assert "no clear winner: after 2 seeds all 2 are in" in outcome.text
        sweep = tmp_path / "outputs" / "sweeps" / "s"
        runs = [json.loads(file.read_text()) for file in sweep.glob("*/metrics.json")]
        assert sorted((each["test"] is not None, each["seed"]) for each in runs) == (
            [(False, 5)] * 16 + [(True, seed) for seed in (0, 0, 1, 1)]
        )
        split = OmegaConf.load(next(sweep.glob("*tanh*seed=1*/config.yaml")))
        assert (split.data.split_seed, split.race) == (1, {})

        longer = train_py("resume=outputs/sweeps/s", "race.seeds=3")
        done = {file: file.stat().st_mtime_ns for file in sweep.glob("*/DONE")}
        again = train_py("resume=outputs/sweeps/s")

        assert (longer.code, again.code) == (0, 0), again.text
        assert len(done) == 16 + 6
        assert (sweep / "report.html").exists()
        assert longer.text.count("after 3 seeds") == again.text.count("after 3 seeds") == 1
        assert {file: file.stat().st_mtime_ns for file in sweep.glob("*/DONE")} == done

    def test_without_m_it_is_no_race(self, train_py: Callable[..., Any]) -> None:
        outcome = train_py("experiment=race", "trainer=debug")
        outcome.assert_one_error("experiment=race: is a race of many runs", "needs -m")

    @pytest.mark.parametrize("line", ["race.seeds=2", "+race.seeds=2"])
    @pytest.mark.parametrize("start", [("-m", "activation=relu,tanh"), ()])
    def test_a_budget_without_a_race_is_refused(
        self, start: tuple[str, ...], line: str, train_py: Callable[..., Any]
    ) -> None:
        outcome = train_py(*start, line, *self.QUICK[:1])
        outcome.assert_one_error("race.seeds", "experiment=race is missing")

    def test_a_misspelt_setting_is_refused(self, train_py: Callable[..., Any]) -> None:
        train_py("-m", "experiment=race", "race.minuts=3").assert_one_error("race.minuts")
