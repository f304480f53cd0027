"""What `activae.load` opens: a run's folder, a sweep's, and none that would run code."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

import activae
from activae.errors import ConfigError, DataError, UserError

Trained = Callable[..., Path]


@pytest.fixture(scope="session")
def two_runs(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, and a better one."""
    home = tmp_path_factory.mktemp("two")
    for name in ("good", "bad"):
        shutil.copytree(trained("data=digits", f"seed={len(name)}"), home / name)
    set_val_se(home / "good", 1.5)
    set_val_se(home / "bad", 2.5)
    return home


def set_val_se(folder: Path, value: float | None) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["val"]["SE"] = value
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_of_a_sweep_the_best_run_by_validation_is_taken_and_named(
    two_runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run = activae.load(two_runs)

    assert run.folder == two_runs / "good"
    assert "good: val/SE 1.5, the least of 2" in caplog.text


@pytest.mark.parametrize(
    ("key", "value", "others"),
    [
        ("data.normalisation", "standardise", "unit_range"),
        ("data.source.binarise", "static", "null"),
    ],
)
def test_runs_on_different_data_are_not_compared(
    key: str, value: str, others: str, two_runs: Path, tmp_path: Path
) -> None:
    home = tmp_path / "mixed"
    shutil.copytree(two_runs, home)
    config = OmegaConf.load(home / "bad/config.yaml")
    OmegaConf.update(config, key, value)
    OmegaConf.save(config, home / "bad/config.yaml")

    with pytest.raises(UserError, match=rf"differ in {re.escape(key)} \({value}, {others}\)"):
        activae.load(home)


def test_a_run_from_before_pixels_could_be_drawn_goes_with_one_of_today(
    two_runs: Path, tmp_path: Path
) -> None:
    home = tmp_path / "mixed"
    shutil.copytree(two_runs, home)
    config = OmegaConf.load(home / "bad/config.yaml")
    del config.data.source.binarise
    OmegaConf.save(config, home / "bad/config.yaml")

    assert activae.load(home).folder == home / "good"


@pytest.mark.parametrize("path", [None, 3, ["run"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(UserError, match=r"^path=.*: give the folder of a run"):
        activae.load(path)


def test_a_sweep_without_a_finished_run_has_no_best(two_runs: Path, tmp_path: Path) -> None:
    home = tmp_path / "begun"
    shutil.copytree(two_runs, home)
    for file in home.glob("*/metrics.json"):
        file.unlink()

    with pytest.raises(UserError, match="none of its 2 runs is done"):
        activae.load(home)


def test_a_run_that_has_not_ended_gives_its_best_so_far(
    two_runs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(two_runs / "good", tmp_path / "run")
    (tmp_path / "run/metrics.json").unlink()
    (tmp_path / "run/DONE").unlink()

    run = activae.load(tmp_path / "run")

    assert run.metrics == {}
    assert "has not ended" in caplog.text


def test_a_fresh_process_opens_it_without_hydra_lightning_or_the_data(
    trained: Trained, tmp_path: Path, python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 6)))
    folder = trained("data=array", f"data.path={tmp_path / 'x.npy'}")
    np.save(tmp_path / "new.npy", np.zeros((3, 6)))
    (tmp_path / "x.npy").unlink()
    code = f"""
import activae, sys
run = activae.load({str(folder)!r})
heavy = {{"hydra", "pytorch_lightning", "sklearn", "scipy", "pandas", "matplotlib", "PIL"}}
print(sorted(heavy & set(sys.modules)))
print(run.encode("new.npy").shape[0], sorted({{"hydra", "pytorch_lightning"}} & set(sys.modules)))
"""
    done = python("-c", code)

    assert done.stdout.splitlines() == ["[]", "3 []"], done.stderr


def test_what_a_config_names_is_imported_only_if_trusted(
    digits_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(digits_folder, folder)
    (tmp_path / "stranger.py").write_text(
        "import torch\nfrom pathlib import Path\nPath('ran').touch()\n"
        "class Odd(torch.nn.Tanh): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = OmegaConf.load(folder / "config.yaml")
    config.encoder.activation = {"_target_": "stranger.Odd", "_partial_": True}
    OmegaConf.save(config, folder / "config.yaml")

    with pytest.raises(ConfigError, match=r"encoder\.activation\._target_=stranger\.Odd"):
        activae.load(folder)
    assert not (tmp_path / "ran").exists()
    assert activae.load(folder, trusted=["stranger"]).code_shape == (8,)


def test_a_run_that_diverged_at_once_is_said_to_have_no_network(
    digits_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(digits_folder, tmp_path / "run")
    (folder / "checkpoints/best.ckpt").unlink()
    (folder / "DONE").write_text("diverged\n")
    with pytest.raises(UserError, match=r"run: this run diverged before .* train it again at a sm"):
        activae.load(folder)


def test_a_checkpoint_that_is_not_there_is_said_to_be_missing(
    digits_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(digits_folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints")
    with pytest.raises(DataError, match=r"best\.ckpt: there is no such file: the run has no check"):
        activae.load(tmp_path / "run")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "pickle"])
def test_a_damaged_or_hostile_checkpoint_is_refused(
    damage: str, digits_folder: Path, tmp_path: Path
) -> None:
    import pickle

    folder = tmp_path / "run"
    shutil.copytree(digits_folder, folder)
    file = folder / "checkpoints/best.ckpt"
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        content = content[:1000]
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
    else:

        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str, str]]:
                return open, (str(tmp_path / "ran"), "w")

        content = bytearray(pickle.dumps(Evil()))
    file.write_bytes(content)

    with pytest.raises(DataError, match=r"best\.ckpt: cannot be read as a checkpoint"):
        activae.load(folder)
    assert not (tmp_path / "ran").exists()
