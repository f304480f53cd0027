"""Conditions without a figure: all of whose runs diverged, or that share no seed."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from activae.compare.answer import Answer, answer
from activae.compare.collect import read_runs
from activae.compare.latex import latex
from activae.compare.report.intervals import intervals
from activae.compare.report.paper import draw
from activae.compare.terminal import shown

WriteRun = Callable[..., Path]
SCORES = {"gelu": 1.0, "silu": 1.1, "relu": math.inf, "elu": math.inf}


@pytest.fixture
def diverged(write_run: WriteRun, tmp_path: Path) -> Callable[..., Answer]:
    """`diverged(seeds, **options)`: relu and elu in all of their runs, gelu and silu in none."""

    def answered(seeds: int = 3, scores: dict[str, float] = SCORES, **options: str) -> Answer:
        for activation, score in scores.items():
            for seed in range(seeds):
                write_run(f"{activation}{seed}", score + 0.01 * seed, activation, seed=seed)
        return answer(read_runs([tmp_path]), **options)

    return answered


def lines_of(found: Answer) -> dict[str, list[str]]:
    """The rows of the terminal's table by condition, cut into their columns."""
    table = shown(found).split("\n\n")[1].splitlines()[1:]
    return {line.split()[0]: re.split(r"\s{2,}", line) for line in table}


def test_is_worst_and_told_so_not_in_figures(diverged: Callable[..., Answer]) -> None:
    found = diverged()
    rows = lines_of(found)
    assert list(rows)[:2] == ["gelu", "silu"]
    assert rows["relu"] == ["relu", "3", "-", "-", "all 3 diverged", "0.00", ".250"]


def test_is_never_among_the_best_however_few_the_seeds(diverged: Callable[..., Answer]) -> None:
    found = diverged(2)
    assert found.best == ["gelu", "silu"]
    assert [line for line in latex(found).splitlines() if "textbf" in line and "elu" in line] != []
    assert r"\textbf{relu}" not in latex(found)
    assert r"relu & 2 & -- & all 2 diverged &  & $.500$ \\" in latex(found)


@pytest.mark.parametrize("options", [{"baseline": "relu"}, {"metric": "test/PSNR"}, {}])
def test_is_never_drawn(
    options: dict[str, str], diverged: Callable[..., Answer], tmp_path: Path
) -> None:
    found = diverged(**options)
    figure = intervals(found)
    with_a_mean = 0 if options.get("baseline") else 2
    assert figure.count('class="mean ') == with_a_mean
    assert figure.count("all 3 diverged") == 2
    pytest.importorskip("matplotlib")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(found, tmp_path / "figure.svg")


def test_as_the_baseline_leaves_no_difference(diverged: Callable[..., Answer]) -> None:
    rows = lines_of(diverged(baseline="relu"))
    assert rows["elu"] == ["elu", "3", "-", "-", "all 3 diverged", "-", "-"]  # no tie at 0
    assert rows["relu"] == ["relu", "3", "-", "-", "all 3 diverged"]
    assert rows["gelu"][4:] == ["-", "1.00", ".750"]


def test_where_all_did_the_verdict_says_what_to_do(diverged: Callable[..., Answer]) -> None:
    found = diverged(scores={"relu": math.inf, "gelu": math.inf}, seeds=6)
    assert found.verdict == (
        "no clear winner: every run diverged; launch another sweep with optimizer.lr below 0.005, "
        "or with trainer.gradient_clip_val=1"
    )
    assert (found.best, found.plan) == ([], [])
    assert found.table[["difference", "low", "p_better", "p"]].isna().all(axis=None)
    assert "textbf" not in latex(found)
    assert 'class="mean ' not in intervals(found)


def test_where_one_of_two_averaged_settings_did_the_verdict_says_so(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for activation in ("relu", "gelu"):
        for seed in range(3):
            for name, lr in (("slow", 0.01), ("fast", 10)):
                score = 1.0 if name == "slow" else math.inf
                folder = f"{activation}{name}{seed}"
                write_run(folder, score, activation, seed=seed, **{"optimizer.lr": lr})
    found = answer(read_runs([tmp_path]))
    assert found.verdict.startswith(
        "no clear winner: 6 of 12 runs diverged, some of every condition and seed; look at the "
        "others by --where, for the means are over optimizer.lr; "
    )


def test_without_a_common_seed_there_is_neither_p_nor_chance(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for seed in (0, 1):
        write_run(f"relu{seed}", 1, "relu", seed=seed)
        write_run(f"gelu{seed}", 2, "gelu", seed=seed + 2)
    rows = lines_of(answer(read_runs([tmp_path])))
    assert rows["gelu"][4:] == ["-", "-", "-"]
