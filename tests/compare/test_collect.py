"""collect: run folders at any depth become one table."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import activae
from activae.errors import UserError

WriteRun = Callable[..., Path]


def test_a_row_a_run_with_config_metrics_and_diagnostics(
    write_run: WriteRun, tmp_path: Path
) -> None:
    folder = write_run("a", 1.5, "gelu", seed=3, **{"optimizer.lr": 0.25})
    table = activae.collect(tmp_path)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["path"], row["job id"], row["status"]) == (str(folder), "a", "done")
    assert (row["seed"], row["optimizer.lr"], row["encoder.hidden"]) == (3, 0.25, "[64,32]")
    assert (row["activation"], row["encoder.activation"]) == ("gelu", "gelu")
    assert (row["optimizer"], row["data"], row["objective"]) == ("Adam", "digits", "mse")
    assert (row["val/SE"], row["test/SE"], row["steps"]) == (1.5, 1.5, 320)
    assert math.isnan(row["test/SSIM"])
    assert row["diagnostics/dead/encoder.activation1"] == 0.25


def test_runs_are_found_at_any_depth_once(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("sweeps/first/a", 1)
    write_run("sweeps/second/b", 2)
    run = write_run("2026/c", 3)
    assert list(activae.collect(tmp_path)["job id"]) == [
        *("2026/c", "sweeps/first/a", "sweeps/second/b")
    ]
    assert len(activae.collect(tmp_path, tmp_path / "sweeps", run)) == 3
    assert len(activae.collect(str(run))) == 1


def test_the_status_tells_how_far_a_run_is(write_run: WriteRun, tmp_path: Path) -> None:
    for name, score in {"a": 1.0, "b": math.inf, "c": None}.items():
        write_run(name, score)
    table = activae.collect(tmp_path)
    assert list(table["status"]) == ["done", "diverged", "unfinished"]
    assert list(table["test/SE"].isna()) == [False, True, True]


class TestActivations:
    def test_the_default_has_the_name_that_other_runs_call_it(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        write_run("a", 1, "relu", named=False)
        write_run("b", 1, "gelu", named=False)
        write_run("c", 1, "relu")
        assert list(activae.collect(tmp_path)["activation"]) == ["relu", "GELU", "relu"]

    def test_that_differ_in_a_parameter_have_two_names(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        for slope in (0.1, 0.2):
            write_run(f"{slope}", 1, "leaky", parameters={"negative_slope": slope})
        assert list(activae.collect(tmp_path)["activation"]) == [
            "leaky(negative_slope=0.1)",
            "leaky(negative_slope=0.2)",
        ]

    def test_of_two_halves_are_both_named(self, write_run: WriteRun, tmp_path: Path) -> None:
        write_run("a", 1, "relu", **{"decoder.activation": {"_target_": "torch.nn.Tanh"}})
        assert list(activae.collect(tmp_path)["activation"]) == ["relu / Tanh"]

    def test_the_options_that_a_config_keeps_are_the_names(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        write_run("a", 1, "gelu", named=False, choices={"activation": "gelu", "encoder": "mlp"})
        write_run("b", 1, "gelu", named=False)
        runs = activae.collect(tmp_path)
        assert list(runs["activation"]) == ["gelu", "gelu"]
        assert list(runs["encoder"]) == ["mlp", "mlp"]
        assert not [column for column in runs if column.startswith("choices")]

    def test_nothing_that_a_config_names_is_imported(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        write_run("a", 1, **{"encoder.activation": {"_target_": "no.such.Module"}})
        assert list(activae.collect(tmp_path)["encoder.activation"]) == ["Module"]


class TestDamage:
    @pytest.mark.parametrize(
        ("file", "text"),
        [
            *[("config.yaml", text) for text in ("a: [", "", "5", "seed: 0\nversion: 99", "\x00")],
            *[("metrics.json", text) for text in ("{", "[]", '{"val": \x00')],
        ],
    )
    def test_is_named_and_other_runs_are_kept(
        self,
        file: str,
        text: str,
        write_run: WriteRun,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        write_run("a", 1)
        broken = write_run("b", 2) / file
        broken.write_text(text)
        with caplog.at_level(logging.WARNING):
            assert list(activae.collect(tmp_path)["job id"]) == ["a"]
        (message,) = caplog.messages
        assert message.startswith(str(broken))

    def test_of_all_runs_is_an_error(self, write_run: WriteRun, tmp_path: Path) -> None:
        (write_run("a", 1) / "config.yaml").write_text("a: [")
        with pytest.raises(UserError, match=r"no run can be read:\n.*config.yaml"):
            activae.collect(tmp_path)

    def test_of_the_record_of_overrides_costs_a_name_only(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        (write_run("a", 1) / ".hydra" / "overrides.yaml").write_text("a: [")
        assert list(activae.collect(tmp_path)["activation"]) == ["ReLU"]


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        activae.collect(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        activae.collect(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no folder was given"):
        activae.collect()


def test_three_hundred_runs_take_no_time(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("0", 1)
    for number in range(1, 300):
        shutil.copytree(run, tmp_path / str(number))
    activae.collect(run)  # pandas is imported
    started = time.process_time()
    assert len(activae.collect(tmp_path)) == 300
    assert time.process_time() - started < 3  # 0.5 s on a machine that has nothing else to do


def test_an_edited_function_is_another_activation_than_the_old_one(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for name, code in {"a": "1a2b3c4d", "b": "5e6f7a8b"}.items():
        edited = {"parameters": {"function": "mine.f"}, "own_code": [f"mine.f {code}"]}
        write_run(name, 1, "custom", **edited)
    write_run("c", 1, "relu")

    table = activae.collect(tmp_path)

    assert list(table["activation"]) == [
        *("custom(source=1a2b3c4d)", "custom(source=5e6f7a8b)", "relu")
    ]
    assert "own_code" not in table


def test_scores_that_are_none_cost_their_own_run_alone(
    write_run: WriteRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run("fine", 1.0)
    odd = write_run("odd", 2.0, seed=1) / "metrics.json"
    odd.write_text('{"status": "completed", "test": {"SE": "abc"}, "val": 3}')

    assert list(activae.collect(tmp_path)["path"]) == [str(tmp_path / "fine")]
    assert f"{odd}: holds no metrics; it was left out" in caplog.text


def test_a_config_of_another_program_is_no_run(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("fine", 1.0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text("activation: hello\nseed: foo\n")

    assert list(activae.collect(tmp_path)["path"]) == [str(tmp_path / "fine")]
