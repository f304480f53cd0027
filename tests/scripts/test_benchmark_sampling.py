"""The benchmark of new samples: what it times, and that its figures can be read and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import activae
from benchmarks import sampling
from benchmarks.sampling import (
    BARE,
    KINDS,
    SamplingTimes,
    bare_decoder,
    sampling_as_json,
    show_sampling,
    time_sampling,
)
from benchmarks.targets import verdicts
from benchmarks.use import trained

CONFIGS = Path(__file__).parents[2] / "configs"


def test_every_sampler_is_timed_beside_the_bare_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "FITTED_TO", 60)
    monkeypatch.setattr("activae.models.densities.learning._MOST_STEPS", 2)
    folder = trained(CONFIGS, tmp_path)

    times = time_sampling(folder, 30, 2, lambda text: None)

    assert set(times.rounds) == {BARE, *KINDS}
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in times.rounds.values())
    run = activae.load(folder)
    codes = np.random.default_rng(0)
    assert bare_decoder(run, 30)().shape == run.decode(codes.normal(size=(30, 32))).shape
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


def test_rates_and_ratios_are_shown_and_judged(capsys: pytest.CaptureFixture[str]) -> None:
    times = SamplingTimes(1000, {BARE: [0.02, 0.01], "gmm": [0.02, 0.011]})
    show_sampling(times, Console(width=100))

    shown = capsys.readouterr().out
    assert "90,909" in shown
    assert "1.10 x" in shown
    rate, ratio = verdicts({}, None, (), times)
    assert (rate.measured, rate.reached) == (pytest.approx(1.1), False)
    assert (ratio.measured, ratio.reached) == (pytest.approx(1.1), True)
    assert sampling_as_json(times)["sampling"]["samples"] == 1000
    assert sampling_as_json(None) == {}
