"""The benchmark's part about sweeps: what it times, how it scales, how it judges."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from benchmarks import sweep
from benchmarks.sweep import Setting, SweepTimes, time_members, time_sweep
from benchmarks.sweep_report import show_members, show_sweep, sweeps_as_json
from benchmarks.targets import verdicts
from benchmarks.workload import write_stand_in

ROOT = Path(__file__).parents[2]


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    write_stand_in(tmp_path / "data", train=60, test=10)
    return Setting(ROOT, tmp_path / "data", tmp_path, "cpu")


def silent(message: str) -> None:
    pass


def test_the_sweep_is_run_whole_and_beside_the_bound(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "ACTIVATIONS", ("relu", "tanh"))
    monkeypatch.setattr(sweep, "SEEDS", 1)
    monkeypatch.setattr(sweep, "RIVALS", {"products": "bound"})

    times = time_sweep(setting, batch_size=32, epochs=1, rounds=1, tell=silent)

    assert times.seconds.keys() == {"stacked", "products"}
    assert all(seconds[0] > 0 for seconds in times.seconds.values())
    runs = [run.parent for run in setting.scratch.glob("sweep-32-0/*/DONE")]
    assert len(runs) == 2
    outputs = [OmegaConf.load(run / "config.yaml").output.activation for run in runs]
    assert [output["_target_"] for output in outputs] == ["torch.nn.Sigmoid"] * 2


def test_a_single_run_stands_for_forty(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = setting.scratch / "one-32-0"
    folder.mkdir()
    (folder / "metrics.json").write_text('{"seconds": {"all": 2.0}}')
    monkeypatch.setattr(sweep, "_clock", lambda command, setting: 5.0)

    seconds = sweep._seconds("one", setting, SweepTimes(32, 1, 10), 0)

    assert seconds == 5 + 39 * 2


def test_the_bound_counts_the_steps_of_all_runs_on_all_cores(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_product_seconds", lambda setting, batch_size: 1e-3)

    assert sweep._seconds("products", setting, SweepTimes(32, 1, 10), 0) == pytest.approx(0.4)


def test_a_command_that_fails_says_why(setting: Setting) -> None:
    with pytest.raises(RuntimeError, match="activation=thanh"):
        sweep._clock([str(ROOT / "train.py"), "activation=thanh"], setting)


def test_members_grow_by_activations_rates_and_seeds(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []
    monkeypatch.setattr(sweep, "_clock", lambda command, setting: commands.append(command) or 2.0)

    found = time_members(setting, [1, 1000], silent)

    assert found == {1: (2.0, 320), 1000: (2.0, 320_000)}
    words = commands[1][2:]
    assert words[0].count(",") == 19
    assert words[1].count(",") == 4
    assert words[2] == "seed=range(10)"
    assert "trainer=cpu" in words


def test_what_is_promised_of_sweeps_is_judged() -> None:
    seconds = {"stacked": [10.0, 12.0], "keras": [100.0, 90.0], "products": [3.0, 4.0]}
    judged = verdicts({}, None, [SweepTimes(32, 5, 100, seconds)])

    assert {verdict.promise: verdict.reached for verdict in judged} == {
        "sweep, batch 32: stacked / keras": True,  # 0.117, at most 0.125
        "sweep, batch 32: stacked / products": False,  # 3.17, at most 2.5
    }


def test_the_tables_show_everything() -> None:
    times = SweepTimes(32, 5, 100, {"stacked": [10.0], "one": [40.0]}, {"keras": "needs keras"})
    console = Console(width=120, record=True)
    show_sweep(times, console)
    show_members({1: (5.0, 320), 10: (10.0, 3200)}, console)
    text = console.export_text()

    for part in ("activae, stacked", "0.250", "400", "needs keras", "2.0 x", "320"):
        assert part in text
    figures = sweeps_as_json([times], {1: (5.0, 320)})
    assert figures["sweeps"][0]["stacked_over_it"]["one"] == 0.25
    assert figures["members"] == {1: {"seconds": 5.0, "model_steps": 320}}
