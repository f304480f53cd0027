"""How many more seeds an answer asks for, and with which command."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from activae.compare import statistics
from activae.compare.answer import answer
from activae.compare.collect import Runs, read_runs
from activae.compare.commands import with_seeds
from activae.compare.pairing import Paired, pair
from activae.compare.planning import plan, power, seeds_needed

WriteRun = Callable[..., Path]


class TestPower:
    @pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
    def test_seeds_are_those_of_published_tables(self, effect: float, n: int) -> None:
        """Cohen's small, medium and large effect and one of 1, two-sided .05, power .8."""
        assert seeds_needed(effect, most=200) == n
        assert seeds_needed(-effect, most=200) == n

    def test_is_alpha_where_there_is_no_difference(self) -> None:
        assert power(0, 12, 0.01) == pytest.approx(0.01)

    def test_a_large_difference_needs_as_many_as_reach_alpha(self) -> None:
        n = seeds_needed(50.0, 0.05)
        assert n == 6
        assert statistics.smallest_p(6) <= 0.05 < statistics.smallest_p(5)

    def test_a_tiny_one_is_not_planned(self) -> None:
        assert seeds_needed(0.01) is None

    @pytest.mark.slow
    @pytest.mark.parametrize("effect", [0.6, 1.0])
    def test_is_what_simulated_sweeps_have(self, effect: float) -> None:
        n = seeds_needed(effect)
        assert n is not None
        rng = np.random.default_rng(n)
        scores = np.stack([np.zeros((2000, n)), effect + rng.standard_normal((2000, n))], axis=-1)
        found = np.mean([statistics.all_pairs(one)[0, 1] <= 0.05 for one in scores])
        print(f"power | {effect} | {n} | {power(effect, n):.3f} | {found:.3f}")
        assert found == pytest.approx(power(effect, n), abs=0.03)


@pytest.mark.slow
class TestPlannedSweeps:
    """From runs to verdict by the code that `compare` runs, on simulated sweeps.

    Scores of a seed are 10 times what that seed does to every condition (its split, its order: 5 %
    sd), and each condition's own noise: 1.5 % sd. relu is worse by 2 %.
    """

    OWN, SHARED, BY = 0.015, 0.05, 0.02

    def paired(self, n: int, rng: np.random.Generator) -> Paired:
        shared = rng.normal(1, self.SHARED, (n, 1))
        scores = 10 * shared * (1 + rng.normal(0, self.OWN, (n, 2)) + [0, self.BY])
        rows = [
            {"path": "r", "status": "done", "seed": seed, "activation": name, "test/SE": score}
            for seed, both in enumerate(scores)
            for name, score in zip(("gelu", "relu"), both, strict=True)
        ]
        keys = {"data.split_seed": 0, "score.test": True, "optimizer.lr": 0.1}
        table = pd.DataFrame([row | keys for row in rows])
        return pair(Runs(table, ["seed", "activation", *keys], []))

    def test_two_per_cent_are_found_with_the_planned_power(self) -> None:
        effect = self.BY / (self.OWN * np.sqrt(2))  # of the paired difference
        n = seeds_needed(effect)
        assert n is not None
        rng = np.random.default_rng(2)
        found = []
        for _ in range(1000):
            paired = self.paired(n, rng)
            pairs = statistics.all_pairs(paired.scores)
            leaders = statistics.like_the_best(paired.scores, pairs)
            found.append([paired.conditions[index] for index in leaders] == ["gelu"])
        print(f"power | 2 % | {n} | {power(effect, n):.3f} | {np.mean(found):.3f}")
        assert np.mean(found) == pytest.approx(power(effect, n), abs=0.05)

    def test_as_many_seeds_as_the_plan_asks_for_are_mostly_enough(self) -> None:
        rng = np.random.default_rng(3)
        planned, found = [], []
        for _ in range(300):
            first = self.paired(7, rng)
            pairs = statistics.all_pairs(first.scores)
            leaders = statistics.like_the_best(first.scores, pairs)
            told = " ".join(plan(first, pairs, leaders))
            more = re.match(r"(\d+) more seed", told)
            if more is None:  # it is settled, or out of reach
                continue
            n = 7 + int(more[1])
            planned.append(n)
            scores = self.paired(n, rng).scores
            found.append(statistics.all_pairs(scores)[0, 1] <= 0.05)
        middle = np.median(planned)
        print(
            f"plan of 7 seeds | {len(found)} unsettled | median {middle:g} | {np.mean(found):.3f}"
        )
        assert np.mean(found) > 0.5


class TestPlan:
    @pytest.fixture
    def sweep(self, write_run: WriteRun, tmp_path: Path) -> Callable[..., Path]:
        """`sweep(relu=effect)`: gelu at 10 in seven seeds, others worse by so many sd of pairs."""
        noise = stats.zscore([0.4, -1.1, 0.9, -0.3, 1.5, -0.8, -0.6], ddof=1)

        def write(**effects: float) -> Path:
            for name, effect in {"gelu": None, **effects}.items():
                for seed, own in enumerate(noise):
                    score = 10 if effect is None else 10 + effect + own
                    write_run(f"{name}{seed}", score, name, seed=seed)
            launched = {"commands": [["sweep=s", "activation=gelu,relu", "seed=range(7)"]]}
            (tmp_path / "sweep.json").write_text(json.dumps(launched | {"jobs": {}}))
            return tmp_path

        return write

    def test_says_how_many_and_gives_the_command(self, sweep: Callable[..., Path]) -> None:
        [said] = answer(read_runs([sweep(relu=0.8)])).plan
        assert said.startswith("8 more seeds would tell gelu from relu with 80 % power")
        command = split(said.partition("; run: ")[2])
        assert command == [
            *("python", "train.py", "-m", "sweep=s", "activation=gelu,relu", "seed=range(15)")
        ]

    def test_more_undecided_pairs_need_more(self, sweep: Callable[..., Path]) -> None:
        first, *_ = answer(read_runs([sweep(relu=0.8, silu=0.1)])).plan
        assert int(first.split()[0]) > 8

    def test_what_is_out_of_reach_is_said(self, sweep: Callable[..., Path]) -> None:
        said = answer(read_runs([sweep(relu=0.05)])).plan
        assert said == [
            "more than 100 seeds would be needed to tell relu from gelu: choose between it and "
            "the best by cost or by taste"
        ]

    def test_a_settled_answer_asks_for_nothing(self, sweep: Callable[..., Path]) -> None:
        assert answer(read_runs([sweep(relu=9.0)])).plan == []

    def test_a_run_that_diverged_has_no_size(
        self, sweep: Callable[..., Path], write_run: WriteRun
    ) -> None:
        path = sweep(relu=0.8)
        write_run("gelu8", 10, "gelu", seed=8)
        write_run("relu8", float("inf"), "relu", seed=8)
        assert answer(read_runs([path])).plan == []


class TestCommand:
    @pytest.fixture
    def launched(self, tmp_path: Path) -> Callable[..., str]:
        """`launched(*lines)`: a run of a sweep that was launched so."""

        def write(*lines: str) -> str:
            known = {"commands": [list(lines)], "jobs": {}}
            (tmp_path / "sweep.json").write_text(json.dumps(known))
            return str(tmp_path / "x")

        return write

    def test_has_nothing_that_a_folder_may_not_ask_for(self, launched: Callable[..., str]) -> None:
        path = launched("sweep=s", "seed=0", "hydra.launcher.workers=${oc.env:HOME}")
        assert with_seeds([path], [0, 1]) == "python train.py -m sweep=s 'seed=range(2)'"
        assert with_seeds([launched("sweep=s", "activation.x=${oc.env:HOME}")], [0, 1]) is None

    def test_is_none_of_single_runs_or_several_sweeps(self, tmp_path: Path) -> None:
        assert with_seeds([str(tmp_path / "a")], [0, 1]) is None
        assert with_seeds([str(tmp_path / "a/1"), str(tmp_path / "b/1")], [0, 1]) is None

    def test_lists_seeds_that_are_no_range(self, launched: Callable[..., str]) -> None:
        path = launched("seed=3,5", "sweep=s")
        assert with_seeds([path], [3, 5, 0]) == "python train.py -m sweep=s seed=3,5,0"

    def test_leads_to_the_folder_that_the_runs_lie_in(
        self, launched: Callable[..., str], tmp_path: Path
    ) -> None:
        command = with_seeds([launched("seed=0,1")], [0, 1, 2])
        assert command == f"python train.py -m hydra.sweep.dir={tmp_path} 'seed=range(3)'"
