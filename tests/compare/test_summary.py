"""An answer in TensorBoard: mean curves with seed bands, the table as a text, the figure."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from activae.cli import compare as script
from activae.compare.answer import Answer, answer
from activae.compare.closing import tell_verdict
from activae.compare.collect import read_runs
from activae.compare.report import paper
from activae.compare.summary import markdown, write_summary

WriteRun = Callable[..., Path]
SIZE = (3).to_bytes(4, "big") + (2).to_bytes(4, "big")
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + SIZE


@pytest.fixture
def runs(write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """gelu and relu with two seeds; SE/val of relu is 6 and 5 in the first epoch, 3 and 2 after."""
    for name, best in (("gelu", 1), ("relu", 2)):
        for seed in range(2):
            run = write_run(f"runs/{name}{seed}", best + seed, name, seed=seed)
            rows = [f"{10 * (epoch + 1)},{best + seed + 3 * (1 - epoch)}" for epoch in range(2)]
            (run / "history.csv").write_text("\n".join(["step,SE/val", *rows]) + "\n")
    monkeypatch.setattr("activae.compare.summary.png", lambda _: PNG)  # importing matplotlib
    return tmp_path / "runs"


def answered(folder: Path) -> Answer:
    return answer(read_runs([folder]))


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def files(folder: Path) -> list[str]:
    return sorted(str(file.parent.relative_to(folder)) for file in folder.rglob("*tfevents*"))


def test_each_condition_is_a_run_with_its_mean_curve_and_its_band(
    runs: Path, tmp_path: Path
) -> None:
    write_summary(answered(runs), tmp_path / "summary")
    assert files(tmp_path / "summary") == [".", "gelu", "relu"]
    relu = events(tmp_path / "summary" / "relu")
    curves = {
        tag: [(point.step, point.value) for point in relu.Scalars(tag)]
        for tag in relu.Tags()["scalars"]
    }
    assert curves == {
        "SE/val": [(10, 5.5), (20, 2.5)],
        "lowest/SE/val": [(10, 5.0), (20, 2.0)],
        "highest/SE/val": [(10, 6.0), (20, 3.0)],
    }


def test_the_folder_itself_has_layout_text_and_figure(runs: Path, tmp_path: Path) -> None:
    from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

    found = answered(runs)
    write_summary(found, tmp_path / "summary")
    shown = events(tmp_path / "summary")
    (text,) = shown.Tensors("answer")
    assert text.tensor_proto.string_val[0].decode() == markdown(found)
    (layout,) = shown.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(layout.tensor_proto.string_val[0]).category
    (series,) = category.chart[0].margin.series
    assert (series.value, series.lower) == ("SE/val", "lowest/SE/val")
    assert series.upper == "highest/SE/val"
    (image,) = shown.Images("differences")
    assert (image.width, image.height, image.encoded_image_string) == (3, 2, PNG)


def test_settings_that_were_averaged_over_have_curves_each(
    write_run: WriteRun, runs: Path, tmp_path: Path
) -> None:
    for name in ("gelu", "relu"):
        run = write_run(f"runs/{name}-other", 1, name, **{"encoding.dim": 99})
        (run / "history.csv").write_text("step,SE/val\n10,9\n")
    write_summary(answered(runs), tmp_path / "summary")
    relu = events(tmp_path / "summary" / "relu")
    tags = [tag for tag in relu.Tags()["scalars"] if tag.startswith("SE/val")]
    first = {tag.partition(" ")[2]: relu.Scalars(tag)[0].value for tag in tags}
    assert len(first) == 2
    assert first.pop("99") == 9
    assert list(first.values()) == [5.5]


def test_a_renewed_one_replaces_the_last_and_nothing_else(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "summary"
    write_summary(answered(runs), folder)
    kept = folder / "relu" / "events.out.tfevents.0.of.a.run"
    kept.write_bytes(b"")
    for gelu in runs.glob("gelu*"):
        text = (gelu / "config.yaml").read_text().replace("torch.nn.GELU", "torch.nn.Mish")
        (gelu / "config.yaml").write_text(text)
        (gelu / ".hydra" / "overrides.yaml").write_text("[activation=mish]")
    write_summary(answered(runs), folder)
    assert files(folder) == [".", "mish", "relu", "relu"]
    assert not (folder / "gelu").exists()
    assert kept.exists()


def test_names_lead_nowhere_else_and_have_no_meaning_in_markdown(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activae.compare.summary.png", lambda _: PNG)
    for name in ("..", "a/b", "a b", "<b>|x|"):
        run = write_run(f"runs/{name.encode().hex()}", len(name), "relu", parameters={"n": name})
        (run / ".hydra" / "overrides.yaml").write_text(f"['activation={name}']")
        (run / "history.csv").write_text("step,SE/val\n1,2\n")
    found = answered(tmp_path / "runs")
    write_summary(found, tmp_path / "summary")
    assert files(tmp_path / "summary") == ["-b-x-", ".", "a-b", "a-b-2", "condition"]
    assert "| \\<b\\>\\|x\\| |" in markdown(found)


def test_without_matplotlib_there_is_no_figure_and_all_the_rest(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activae.compare.summary.png", paper.png)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    write_summary(answered(runs), tmp_path / "summary")
    tags = events(tmp_path / "summary").Tags()
    assert tags["images"] == []
    assert "answer" in tags["tensors"]


class TestOfASweep:
    """At a sweep's end."""

    def test_is_written_where_the_runs_are_in_tensorboard_too(self, runs: Path) -> None:
        tell_verdict(runs)
        assert files(runs / "summary") == [".", "gelu", "relu"]

    def test_is_not_where_the_runs_left_tensorboard_out(self, runs: Path) -> None:
        for config in runs.glob("*/config.yaml"):
            text = config.read_text().replace("tensorboard: true", "tensorboard: false")
            config.write_text(text)
        tell_verdict(runs)
        assert (runs / "report.html").exists()
        assert not (runs / "summary").exists()

    def test_is_no_run_of_it(self, runs: Path) -> None:
        tell_verdict(runs)
        assert len(read_runs([runs]).table) == 4


def test_the_script_writes_it_where_it_is_told_to(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(runs), "--tensorboard", str(tmp_path / "board")]) == 0
    assert files(tmp_path / "board") == [".", "gelu", "relu"]
