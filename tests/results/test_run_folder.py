"""The records of a run: written whole, and read without running anything."""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from activae.errors import DataError
from activae.results import run_folder
from activae.results.run import train
from activae.training.checkpoint import load_checkpoint
from activae.training.files import write_whole

Compose = Callable[..., DictConfig]


def test_metrics_are_json_and_end_with_a_newline(tmp_path: Path) -> None:
    run_folder.write_metrics(tmp_path, {"test": {"SE": 0.5, "SSIM": None}})

    text = (tmp_path / run_folder.METRICS).read_text()
    assert json.loads(text) == {"test": {"SE": 0.5, "SSIM": None}}
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_metrics_that_json_does_not_know_are_refused(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        run_folder.write_metrics(tmp_path, {"SE": value})


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "history.csv"
    run_folder.write_text(file, "old\n")

    def die(*paths: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            run_folder.write_text(file, "new\n")
    assert file.read_text() == "old\n"

    run_folder.write_text(file, "new\n")
    assert file.read_text() == "new\n"
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


class Malicious:
    """What an attacker's checkpoint may hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"PK\3\4 cut off", pickle.dumps(Malicious())],
    ids=["empty", "text", "cut off", "code"],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("last.ckpt").write_bytes(content)

    with pytest.raises(DataError, match=r"last\.ckpt: cannot be read as a checkpoint"):
        load_checkpoint(Path("last.ckpt"))
    assert not Path("owned").exists()


def test_code_saved_by_torch_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Malicious()}, "last.ckpt")

    with pytest.raises(DataError):
        load_checkpoint(Path("last.ckpt"))
    assert not Path("owned").exists()


def test_what_a_run_leaves(compose: Compose, tmp_path: Path) -> None:
    cfg = compose(
        "trainer=cpu",
        "trainer.max_epochs=2",
        "data.train_fraction=0.1",
        "logger=minimal",
        "logger.progress_bar=false",
    )
    metrics = train(cfg, tmp_path)

    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "DONE",
        "config.yaml",
        "history.csv",
        "metrics.json",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }
    assert (tmp_path / run_folder.DONE).read_text() == "completed\n"
    assert json.loads((tmp_path / run_folder.METRICS).read_text()) == metrics
    saved = OmegaConf.load(tmp_path / run_folder.CONFIG)
    assert saved.encoder.activation == cfg.activation, "defaults should be filled in"
    assert "${" not in (tmp_path / run_folder.CONFIG).read_text()


def test_metrics_hold_scores_pca_size_and_speed(compose: Compose, tmp_path: Path) -> None:
    metrics = train(
        compose(
            "trainer=cpu",
            "trainer.max_epochs=2",
            "data.train_fraction=0.1",
            "encoding=dim8",
            "logger=minimal",
            "logger.progress_bar=false",
        ),
        tmp_path,
    )

    scores = {"SE", "MSE", "BCE", "PSNR", "SSIM", "explained_variance"}
    for group in (metrics, metrics["pca"]):
        for stage in ("train", "val", "test"):
            assert group[stage].keys() == scores
            missing = {name for name, value in group[stage].items() if value is None}
            assert missing == (set() if stage == "test" else {"SSIM"})
            assert all(math.isfinite(v) for v in group[stage].values() if v is not None)
    assert metrics["status"] == "completed"
    assert metrics["pca"]["dim"] == 8
    layers = [(64, 64), (64, 32), (32, 8), (8, 32), (32, 64), (64, 64)]
    assert metrics["parameters"] == sum((inputs + 1) * outputs for inputs, outputs in layers)
    assert metrics["steps"] == 8
    assert metrics["steps_per_second"] == pytest.approx(8 / metrics["seconds"]["fit"])
    assert 0 < metrics["seconds"]["fit"] < metrics["seconds"]["all"]
    assert metrics["peak_memory_mb"]["process"] > 50
    assert metrics["device"] == "cpu"


def test_what_cannot_be_written_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()

    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", b"text")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("content", [None, "", "a: b", "[", "\xff"])
def test_a_run_without_a_record_of_its_overrides_has_none(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / ".hydra").mkdir()
        (tmp_path / ".hydra" / "overrides.yaml").write_text(content, "latin-1")

    assert run_folder.overrides(tmp_path) is None
