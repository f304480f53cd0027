"""The end of a sweep: the verdict on its folder."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from activae.compare.closing import tell_of_search, tell_verdict

WriteRun = Callable[..., Path]


@pytest.fixture
def told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    def messages() -> list[str]:
        with caplog.at_level(logging.INFO):
            tell_verdict(tmp_path)
        return caplog.messages

    return messages


def test_is_the_verdict_and_where_there_is_more(
    write_run: WriteRun, tmp_path: Path, told: Callable[[], list[str]]
) -> None:
    for seed in range(6):
        write_run(f"r{seed}", 2 + 0.01 * seed, "relu", seed=seed)
        write_run(f"g{seed}", 1, "gelu", seed=seed)
    answer, more, report = told()
    assert answer.startswith("answer gelu is best; relu is worse by 102 %")
    assert more == f"       more: python scripts/compare.py {tmp_path}"
    assert report == f"page   {tmp_path / 'report.html'}"


def test_leaves_a_page_and_a_table_of_the_runs_in_the_folder(
    write_run: WriteRun, tmp_path: Path, told: Callable[[], list[str]]
) -> None:
    write_run("a", 2, "relu")
    write_run("b", 1, "gelu")
    told()
    assert "gelu has the best mean so far" in (tmp_path / "report.html").read_text()
    runs = pd.read_csv(tmp_path / "results.csv")
    assert list(runs["activation"]) == ["relu", "gelu"]
    assert list(runs["test/SE"]) == [2, 1]


def test_the_table_is_parquet_too_where_that_can_be_written(
    write_run: WriteRun,
    tmp_path: Path,
    told: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_run("a", 2, "relu")
    monkeypatch.setattr("activae.compare.closing.find_spec", lambda _: None)
    told()
    assert not (tmp_path / "results.parquet").exists()
    monkeypatch.undo()
    pytest.importorskip("pyarrow")
    told()
    found = pd.read_parquet(tmp_path / "results.parquet")
    assert list(found["activation"]) == ["relu"]
    assert list(found.columns) == list(pd.read_csv(tmp_path / "results.csv").columns)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ZeroDivisionError()])
def test_a_page_that_fails_costs_no_verdict(
    error: Exception,
    write_run: WriteRun,
    tmp_path: Path,
    told: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    write_run("a", 2, "relu")
    write_run("b", 1, "gelu")
    monkeypatch.setattr("activae.compare.report.page.write_page", fail)
    answer, _, warning = told()
    assert answer.startswith("answer no clear winner")
    assert warning.startswith(f"{tmp_path / 'report.html'}: could not be written; the runs and the")
    assert (tmp_path / "results.csv").exists()


def test_is_the_best_run_where_nothing_is_compared(
    write_run: WriteRun, told: Callable[[], list[str]]
) -> None:
    write_run("a", 1)
    write_run("b", 0.5, seed=1)
    best, note = told()
    assert best == "best   b: SE/val 0.5"
    assert note.startswith("note   no answer: 2 runs of one condition: there is nothing to compare")


def test_a_page_whose_runs_are_no_comparison_any_more_is_removed(
    write_run: WriteRun, tmp_path: Path, told: Callable[[], list[str]]
) -> None:
    write_run("a", 1)
    write_run("b", 1, "gelu")
    told()
    assert (tmp_path / "report.html").exists()
    shutil.rmtree(tmp_path / "b")
    assert f"page   {tmp_path / 'report.html'}: removed, its runs are no comparison" in "\n".join(
        told()
    )
    assert not (tmp_path / "report.html").exists()
    assert len(pd.read_csv(tmp_path / "results.csv")) == 1


def test_is_nothing_where_no_run_is_done(
    write_run: WriteRun, told: Callable[[], list[str]], tmp_path: Path
) -> None:
    write_run("a", float("inf"))
    assert told() == []


def test_of_a_search_says_that_it_is_no_comparison(
    write_run: WriteRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run("a", 1)
    with caplog.at_level(logging.INFO):
        tell_of_search(tmp_path)
        assert caplog.messages == []  # it has found nothing yet
        (tmp_path / "optimization_results.yaml").write_text("best_params: {}\n")
        tell_of_search(tmp_path)
    said = " ".join(caplog.messages[0].split())
    assert said.startswith(f"note no answer: {tmp_path} holds the trials of a search")
    assert (tmp_path / "results.csv").exists()
