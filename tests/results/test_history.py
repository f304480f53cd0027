"""The history of a run in one CSV file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from activae.results.history import History


@dataclass
class Stage:
    """Stands in for the LightningModule: the step reached, and the epoch's row."""

    step: int = 0
    row: dict[str, float] = field(default_factory=dict)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("activae.results.history.AutoencoderModule", Stage)
    return tmp_path / "history.csv"


def write(file: Path, start: int, steps: range) -> None:
    """What a run records that starts at `start` and ends an epoch at each of `steps`."""
    history = History(file)
    trainer: Any = None
    model: Any = Stage(step=start)
    history.on_train_start(trainer, model)
    for step in steps:
        model.step, model.row = step, {"step": step, "SE/val": 1 / step}
        history.on_train_epoch_end(trainer, model)


def steps(file: Path) -> list[str]:
    return [line.split(",")[0] for line in file.read_text().splitlines()]


def test_it_has_a_header_and_a_row_an_epoch(file: Path) -> None:
    write(file, 0, range(4, 13, 4))

    assert file.read_text() == "step,SE/val\n4,0.25\n8,0.125\n12,0.08333333333333333\n"


def test_a_resumed_run_goes_on_where_it_was(file: Path) -> None:
    write(file, 0, range(4, 9, 4))
    write(file, 8, range(12, 17, 4))

    assert steps(file) == ["step", "4", "8", "12", "16"]


@pytest.mark.parametrize("start", [4, 5, 7])
def test_rows_after_the_step_it_resumes_from_are_written_anew(file: Path, start: int) -> None:
    write(file, 0, range(4, 21, 4))
    write(file, start, range(8, 13, 4))

    assert steps(file) == ["step", "4", "8", "12"]


def test_a_run_that_starts_over_keeps_no_row(file: Path) -> None:
    write(file, 0, range(4, 13, 4))
    write(file, 0, range(4, 5))

    assert steps(file) == ["step", "4"]


@pytest.mark.parametrize("kept", range(1, 30))
def test_a_file_cut_off_anywhere_is_mended(file: Path, kept: int) -> None:
    write(file, 0, range(4, 13, 4))
    whole = file.read_text()
    file.write_text(whole[:kept])
    complete = whole[:kept].count("\n")

    write(file, 12, range(16, 17))

    expected = ["step", "4", "8", "12"][:complete] or ["step"]
    assert steps(file) == [*expected, "16"]
