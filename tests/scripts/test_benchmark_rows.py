"""The benchmark of files that grow: what it times and what it leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import rows
from benchmarks.rows import RowsTimes, rows_as_json, show_rows, time_rows, write_rows

CONFIGS = Path(__file__).parents[2] / "configs"


def test_a_file_has_as_many_rows_as_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ROWS_AT_A_TIME", 40)
    write_rows(tmp_path / "some.npy", 100)

    values = np.load(tmp_path / "some.npy")
    assert (values.shape, values.dtype) == ((100, rows.FEATURES), np.float32)
    assert len(np.unique(values[:, 0])) == 100


def test_every_file_is_timed_in_turn_and_deleted(tmp_path: Path) -> None:
    times = time_rows(CONFIGS, tmp_path, [300], rounds=2, steps=3, tell=lambda text: None)

    names = ["300 rows in memory", "300 rows on disk"]
    assert list(times.laps) == names
    assert all(len(laps) == 2 and min(laps) > 0 for laps in times.laps.values())
    assert all(times.peak_mb[name] > 50 for name in names)
    assert times.file_mb["300 rows on disk"] == pytest.approx(300 * 64 * 4 / 1e6, abs=0.001)
    assert not list(tmp_path.iterdir())


def test_ratios_are_to_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    times = RowsTimes(
        10, {"a": [1.0, 2.0, 1.0], "b": [1.1, 2.0, 1.2]}, {"a": 1.0, "b": 2.0}, {"a": 0.0, "b": 3.0}
    )
    show_rows(times, Console(width=120))

    assert times.ratio("b") == pytest.approx(1.1)
    assert "1.10 x" in capsys.readouterr().out
    assert rows_as_json(times)["rows"]["files"]["b"]["of_the_first"] == pytest.approx(1.1)
    assert rows_as_json(None) == {}
