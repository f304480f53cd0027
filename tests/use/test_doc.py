"""docs/use.md says what happens: its examples are run."""

from __future__ import annotations

import doctest
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig

from activae.cli.use import main
from activae.results.run import train

DOC = Path(__file__).parents[2] / "docs/use.md"


@pytest.fixture(scope="module")
def home(compose: Callable[..., DictConfig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run that the examples are about."""
    folder = tmp_path_factory.mktemp("doc")
    quick = ("trainer=cpu", "trainer.max_steps=2000", "logger=minimal", "logger.progress_bar=false")
    train(compose("data=digits", *quick), folder / "outputs/digits")
    return folder


def test_the_examples_in_python_give_what_they_say(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)

    found = doctest.testfile(str(DOC), module_relative=False)

    assert found.attempted > 15
    assert found.failed == 0


def test_the_commands_do_what_they_say(
    home: Path,
    images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save(tmp_path / "images.npy", images[:40])
    shutil.copytree(home / "outputs", tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    lines = DOC.read_text().partition("```console\n")[2].partition("```")[0].splitlines()
    said: list[str] = []
    for line in lines:
        if line.startswith("$ "):
            main(shlex.split(line)[3:], "")
            said += [line, *capsys.readouterr().err.splitlines()]

    assert said == lines
    assert (tmp_path / "sheet.png").exists()
    assert len(list((tmp_path / "again").iterdir())) == 40
