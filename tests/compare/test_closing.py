"""The end of a sweep: the verdict on its folder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from activae.compare.closing import tell_verdict

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
    answer, more = told()
    assert answer.startswith("answer gelu is best; relu is worse by 102 %")
    assert more == f"       more: python scripts/compare.py {tmp_path}"


def test_is_the_best_run_where_nothing_is_compared(
    write_run: WriteRun, told: Callable[[], list[str]]
) -> None:
    write_run("a", 1)
    write_run("b", 0.5, seed=1)
    best, more = told()
    assert best == "best   b: SE/val 0.5"
    assert "scripts/compare.py" in more


def test_is_nothing_where_no_run_is_done(
    write_run: WriteRun, told: Callable[[], list[str]], tmp_path: Path
) -> None:
    write_run("a", float("inf"))
    assert told() == []
