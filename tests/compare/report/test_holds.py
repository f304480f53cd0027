"""Whether an answer holds in every setting: the statistics of ranks, and what the report says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from activae.compare import ranks
from activae.compare.answer import answer
from activae.compare.collect import read_runs
from activae.compare.report.holds import holds

WriteRun = Callable[..., Path]
# Demšar 2006, table 5(a): q at .05 for 2 to 10 classifiers.
NEMENYI = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]


def test_the_critical_difference_is_that_of_demsars_table() -> None:
    for conditions, q in enumerate(NEMENYI, start=2):
        expected = q * np.sqrt(conditions * (conditions + 1) / (6 * 14))
        assert ranks.critical_difference(14, conditions) == pytest.approx(expected, rel=3e-4)


def test_friedmans_test_is_demsars_of_friedmans_chi_squared() -> None:
    scores = np.random.default_rng(0).normal([0, 0, 0.5, 1], size=(14, 4))
    chi = stats.friedmanchisquare(*scores.T).statistic
    f = 13 * chi / (14 * 3 - chi)
    assert ranks.friedman_p(scores) == pytest.approx(stats.f.sf(f, 3, 3 * 13))


def test_ties_share_a_rank_and_say_nothing() -> None:
    scores = np.array([[1.0, 1, 2], [3, 1, 2]])
    assert list(ranks.average_ranks(scores)) == [2.25, 1.25, 2.5]
    assert ranks.friedman_p(np.ones((4, 3))) == 1


def test_a_ranking_that_is_the_same_everywhere_leaves_no_doubt() -> None:
    assert ranks.friedman_p(np.array([[1.0, 2, 3]] * 5)) == 0


def test_agreement_of_two_settings_is_spearmans() -> None:
    scores = np.random.default_rng(1).normal(size=(2, 9))
    assert ranks.agreement(scores) == pytest.approx(stats.spearmanr(*scores).statistic)


def test_cliques_are_the_largest_groups_that_nothing_separates() -> None:
    assert ranks.cliques(np.array([1.0, 1.5, 2.6, 3.9]), 1.5) == [(0, 1), (1, 2), (2, 3)]
    assert ranks.cliques(np.array([1.0, 1.1, 1.2]), 1.0) == [(0, 2)]
    assert ranks.cliques(np.array([1.0, 3.0]), 1.0) == []


def said(write_run: WriteRun, tmp_path: Path, *by: str, seeds: int = 7) -> str:
    """gelu is best at width 4 and relu at 16; silu is worst at both."""
    scores = {("gelu", 4): 1, ("relu", 4): 2, ("silu", 4): 3}
    scores |= {("gelu", 16): 0.6, ("relu", 16): 0.5, ("silu", 16): 0.7}
    for seed in range(seeds):
        for (name, dim), score in scores.items():
            value = score + 0.001 * (seed + (seed * dim) % 3)
            write_run(f"{name}{dim}-{seed}", value, name, seed=seed, **{"encoding.dim": dim})
    (section,) = holds(answer(read_runs([tmp_path]), by))
    return section.body


def test_an_interaction_is_told_in_words_and_figures(write_run: WriteRun, tmp_path: Path) -> None:
    html = said(write_run, tmp_path, "activation", "encoding.dim")
    assert "The best mean changes: gelu (dim 4), relu (dim 16)." in html
    assert "No one is among the best in every setting." in html
    assert "The two rankings correlate by 0.50 (1: the same, 0: unrelated)." in html
    rows = re.findall(r"<tr.*?</tr>", html)
    heads, *cells = (
        [re.sub("<[^>]*>", "", c) for c in re.findall("<t[hd].*?</t[hd]>", r)] for r in rows
    )
    assert heads == ["activation", "dim 4", "dim 16"]
    assert sorted(cells) == [
        ["gelu", "1.004 ●", "0.6039"],
        ["relu", "2.004", "0.5039 ●"],
        ["silu", "3.004", "0.7039"],
    ]


def test_settings_that_were_averaged_over_are_shown_likewise(
    write_run: WriteRun, tmp_path: Path
) -> None:
    html = said(write_run, tmp_path)
    assert "The best mean changes: gelu (dim 4), relu (dim 16)." in html


def test_few_seeds_separate_nothing(write_run: WriteRun, tmp_path: Path) -> None:
    html = said(write_run, tmp_path, seeds=2)
    assert "But nothing separates them in any setting." in html


def test_average_ranks_need_three_settings(write_run: WriteRun, tmp_path: Path) -> None:
    assert "Average ranks" not in said(write_run, tmp_path, seeds=1)
    for name, score in (("gelu", 1), ("relu", 2), ("silu", 3)):
        write_run(f"{name}32", score, name, **{"encoding.dim": 32})
    (section,) = holds(answer(read_runs([tmp_path])))
    assert "Average ranks over 3 settings" in section.body
    assert "gelu 1.33" in section.body


def test_one_setting_has_nothing_to_hold_in(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("a", 1, "relu")
    write_run("b", 2, "gelu")
    assert list(holds(answer(read_runs([tmp_path])))) == []


def test_diverged_and_missing_runs_are_shown_as_such(write_run: WriteRun, tmp_path: Path) -> None:
    for dim in (4, 8):
        write_run(f"g{dim}", 1, "gelu", **{"encoding.dim": dim})
        score = float("inf") if dim == 4 else 2
        write_run(f"r{dim}", score, "relu", **{"encoding.dim": dim})
    write_run("s", 3, "silu", **{"encoding.dim": 4})
    (section,) = holds(answer(read_runs([tmp_path]), ["activation", "encoding.dim"]))
    assert "diverged" in section.body
    assert ">–<" in section.body
    assert not re.search(r"\b(nan|inf)\b", section.body)
