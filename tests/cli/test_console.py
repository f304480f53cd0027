"""The command `activae`, and the wheel that brings it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from activae.cli import console
from activae.config import program

ROOT = Path(__file__).parents[2]
BUILD = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
PARTS = ("src", "configs", "pyproject.toml", "setup.py", "README.md", "LICENSE")

Command = Callable[..., Any]


@pytest.fixture
def activae(called: Callable[..., Any]) -> Command:
    """`activae(*arguments)`: how that command ends in tmp_path, in this process."""
    return partial(called, console.main, Path("/usr/bin/activae"))


def test_activae_trains_as_train_py_does_and_compares_what_it_trained(
    activae: Command, tmp_path: Path
) -> None:
    quick = ("trainer=debug", "logger=minimal", "hydra.launcher.workers=1")
    swept = activae("-m", "sweep=s", *quick, "activation=relu,tanh", "seed=0,1")

    assert swept.code == 0, swept.text
    assert "more: activae compare outputs/sweeps/s" in swept.text
    compared = activae("compare", str(tmp_path / "outputs"), "--by", "activation")
    assert compared.code == 0, compared.text
    assert "tanh" in compared.text


def test_the_commands_that_it_names_are_its_own(activae: Command) -> None:
    activae("experiment=race").assert_one_error("for which activae needs -m")

    for verb in ("compare", "use"):
        shown = activae(verb, "--help")
        assert (shown.code, f"usage: activae {verb}" in shown.text) == (0, True), shown.text
    assert "activae activation=tanh" in activae("--help").text


@pytest.mark.parametrize(
    ("called", "command"),
    [
        ("/home/me/.venv/bin/activae", "activae"),
        ("/site-packages/activae/__main__.py", "python -m activae"),
        ("train.py", "python train.py"),
        ("-c", "python train.py"),
    ],
)
def test_a_command_is_named_as_it_was_called(
    called: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [called])

    assert program.training() == command


def test_a_wheel_is_whole(tmp_path: Path, python: Callable[..., Any]) -> None:
    """It has the command, the configs and Hydra's plugins, and needs no checkout to compose."""
    checkout, own, wheels = tmp_path / "checkout", tmp_path / "own", tmp_path / "wheels"
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        checkout.mkdir(exist_ok=True)
        copy(ROOT / part, checkout / part)
    command = [sys.executable, "-c", BUILD, str(wheels)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    [wheel] = wheels.glob("activae-*.whl")
    with ZipFile(wheel) as opened:
        names = set(opened.namelist())
        entries = ConfigParser()
        entries.read_string(
            next(opened.read(n).decode() for n in names if n.endswith("entry_points.txt"))
        )
        opened.extractall(tmp_path / "site")
    yamls = {file.relative_to(ROOT).as_posix() for file in (ROOT / "configs").rglob("*.yaml")}
    plugins = ROOT / "src" / "hydra_plugins"

    assert entries["console_scripts"]["activae"] == "activae.cli.console:main"
    assert {f"activae/{name}" for name in yamls} <= names
    assert {file.relative_to(ROOT / "src").as_posix() for file in plugins.rglob("*.py")} <= names

    (own / "encoding").mkdir(parents=True)
    (own / "encoding" / "five.yaml").write_text("dim: 5\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); "
        "sys.argv[1:] = ['encoding=five', '--config-dir=own', '--cfg', 'job']; "
        "from activae.cli.console import main; main()"
    )
    composed = python("-c", code)
    assert "dim: 5" in composed.stdout, composed.stderr
    assert "_target_: torch.nn.ReLU" in composed.stdout
