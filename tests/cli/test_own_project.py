"""examples/own_project, as its README says: a folder with parts of one's own, none of them ours."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

import activae

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_project"
QUICK = ("logger.progress_bar=false", "trainer=cpu", "hydra.launcher.workers=1")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy, in which commands are given."""
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


def test_all_of_its_parts_at_once(train_py: Callable[..., Any], project: Path) -> None:
    outcome = train_py("--config-dir=configs", "experiment=mine", "hydra.run.dir=run", *QUICK[:2])

    assert outcome.code == 0, outcome.text
    assert "after epoch 20: SE/val" in outcome.text
    named = OmegaConf.to_yaml(OmegaConf.load(project / "run" / "config.yaml"))
    parts = [line.split()[0].removesuffix(":") for line in named.splitlines() if "mine." in line]
    assert len(parts) >= 8
    run = activae.load(project / "run", trusted=["mine"])
    assert run.encode(torch_rows()).shape == (4, 3)


def test_in_a_sweep_and_resumed(train_py: Callable[..., Any]) -> None:
    own = ("--config-dir=configs", "data=rings", "activation=relu,wavy", "encoder=two_layers")
    outcome = train_py("-m", "sweep=s", *own, "trainer.max_epochs=1", "logger=minimal", *QUICK)

    assert outcome.code == 0, outcome.text
    resume = ("resume=outputs/sweeps/s", "trusted_modules=[mine]")
    again = train_py("--config-dir=configs", *resume)
    assert (again.code, "2 were done before" in again.text) == (0, True), again.text
    train_py(resume[0]).assert_one_error("python train.py --config-dir=")


def test_every_part_has_its_yaml_and_is_short() -> None:
    module = (EXAMPLE / "mine.py").read_text()
    configs = "".join(file.read_text() for file in (EXAMPLE / "configs").rglob("*.yaml"))

    for name in ("Wavy", "two_layers", "charbonnier", "SignSGD", "triangle", "Centred", "rings"):
        assert f"mine.{name}" in configs
    assert len(module.splitlines()) < 80


def torch_rows() -> Any:
    import torch

    return torch.zeros(4, 12)
