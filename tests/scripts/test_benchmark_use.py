"""The benchmark of a finished run: what it times, and that its figures can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import use
from benchmarks.use import VERBS, UseTimes, show_use, time_use, trained, use_as_json

CONFIGS = Path(__file__).parents[2] / "configs"


def test_every_verb_is_timed_beside_raw_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use, "STREAMED", (20,))
    monkeypatch.setattr(use, "MOST_CALLS", 2)

    times = time_use(trained(CONFIGS, tmp_path), tmp_path, [1, 30], 1, lambda text: None)

    assert {"ours", "raw"} <= set(times.seconds)
    for found in times.seconds.values():
        assert list(found) == list(VERBS)
        assert all(list(each) == [1, 30] and min(each.values()) > 0 for each in found.values())
    assert len(times.load) == 1
    assert times.peak_mb[20] > 20
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_rates_are_shown_with_the_ratio_of_times(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = {who: {verb: {100: s} for verb in VERBS} for who, s in (("ours", 0.2), ("raw", 0.1))}
    times = UseTimes(seconds, [2.5], {9: 50.0})
    show_use(times, Console(width=120))

    shown = capsys.readouterr().out
    assert "500 (2.00)" in shown
    assert "2.50 s in a fresh process" in shown
    assert "50 MB to encode 9 samples" in shown
    assert use_as_json(times)["use"]["load"] == [2.5]
    assert use_as_json(None) == {}
