"""An edit of the user's own code makes another run; one of what it does not use does not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from activae.config.identity import condition_key, identity, job_id
from activae.config.own_code import edited_code, own_code, refuse_edited
from activae.config.settling import container, settle
from activae.errors import ConfigError

MODULE = """
import torch
from mine_too import helped
from torch import sin as wave
SLOPE = 0.1
TABLE = {}
TABLE.update(a=1)
if SLOPE:
    OFFSET = 2
def f(x):
    return helped(x) * SLOPE + TABLE["a"] + OFFSET + wave(x)
def other(x):
    return x
def scaled(k):
    return lambda g: lambda x: k * g(x)
@scaled(2)
def decorated(x):
    return x
class Base(torch.nn.Module):
    def forward(self, x):
        return x
class Net(Base):
    pass
made = Net()
"""
HELPER = "def helped(x):\n    return x\ndef unused(x):\n    return x\n"

Node = dict[str, Any]


def node(path: str) -> Node:
    return {"activation": {"_target_": "activae.activations.Custom", "function": path}}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two modules of the user's own that can be imported."""
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "mine_too.py").write_text(HELPER)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("name", "file", "old", "new"),
    [
        ("f", "mine.py", "SLOPE + T", "SLOPE - T"),
        ("f", "mine.py", "SLOPE = 0.1", "SLOPE = 0.2"),
        ("f", "mine.py", "update(a=1)", "update(a=2)"),
        ("f", "mine.py", "OFFSET = 2", "OFFSET = 3"),
        ("f", "mine.py", "import sin as", "import cos as"),
        ("f", "mine_too.py", "def helped(x):\n    return x", "def helped(x):\n    return -x"),
        ("decorated", "mine.py", "@scaled(2)", "@scaled(3)"),
        ("decorated", "mine.py", "k * g(x)", "k + g(x)"),
        ("Net", "mine.py", "    pass", "    y = 1"),
        ("Net", "mine.py", "forward(self, x):\n        return x", "forward(self, x):\n        -x"),
        ("made", "mine.py", "made = Net()", "made = Base()"),
        ("made", "mine.py", "    pass", "    y = 1"),
    ],
)
def test_an_edit_of_what_makes_an_object_counts(
    modules: Path, name: str, file: str, old: str, new: str
) -> None:
    before = own_code(node(f"mine.{name}"))

    edit(modules / file, old, new)

    assert own_code(node(f"mine.{name}")) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("mine.py", "def other(x):\n    return x", "def other(x):\n    return 2 * x"),
        ("mine.py", "def f(x):\n", "# a comment\n\ndef f(x):\n    # another\n\n"),
        ("mine.py", "made = Net()", "made = Net()\nmore = 3"),
        ("mine_too.py", "def unused(x):\n    return x", ""),
    ],
)
def test_an_edit_elsewhere_does_not(modules: Path, file: str, old: str, new: str) -> None:
    before = own_code(node("mine.f"))

    edit(modules / file, old, new)

    assert own_code(node("mine.f")) == before


def test_the_modules_of_a_package_are_followed(modules: Path) -> None:
    package = modules / "mine_in_parts"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("from .deep.one import *\n")
    (package / "deep/__init__.py").write_text("")
    (package / "deep/one.py").write_text("from ..two import g\ndef f(x):\n    return g(x)\n")
    (package / "two.py").write_text("import torch\ndef g(x):\n    return torch.sin(x)\n")
    before = own_code(node("mine_in_parts.f"))

    edit(package / "two.py", "sin", "cos")

    assert own_code(node("mine_in_parts.f")) != before


def test_of_what_is_made_in_other_ways_the_whole_module_counts(modules: Path) -> None:
    (modules / "mine_made.py").write_text("globals()['f'] = abs\nk = 1\n")
    before = own_code(node("mine_made.f"))

    edit(modules / "mine_made.py", "k = 1", "k = 2")

    assert own_code(node("mine_made.f")) != before


def test_reading_a_module_does_not_run_it(modules: Path) -> None:
    (modules / "mine_loud.py").write_text("raise SystemExit\ndef f(x):\n    return x\n")
    (modules / "mine_next.py").write_text("from mine_loud import f\n")

    assert own_code(node("mine_next.f.inner"))[0].startswith("mine_next.f.inner ")
    assert own_code(node("mine_loud.f"))[0].startswith("mine_loud.f ")


def test_what_has_no_source_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("__main__.__file__", raising=False)  # none under xdist
    monkeypatch.setattr("__main__.__spec__", None)

    assert own_code(node("__main__.f")) == ["__main__.f unknown"]


def test_libraries_count_by_their_names_alone(compose: Callable[..., DictConfig]) -> None:
    cfg = settle(compose("activation=custom", "activation.function=torch.sin", "optimizer=lion"))

    assert own_code(container(cfg)) == []


def test_runs_without_such_code_keep_their_ids(compose: Callable[..., DictConfig]) -> None:
    cfg = settle(compose())

    assert "own_code" not in identity(cfg)
    assert job_id(cfg) == job_id({k: v for k, v in container(cfg).items() if k != "own_code"})


def test_a_run_of_edited_code_is_another_run_and_another_condition(
    modules: Path, compose: Callable[..., DictConfig]
) -> None:
    def settled() -> DictConfig:
        return settle(compose("activation=custom", "activation.function=mine.f"))

    before = settled()
    edit(modules / "mine.py", "SLOPE = 0.1", "SLOPE = 0.2")
    after = settled()

    assert job_id(before) != job_id(after)
    assert condition_key(before) != condition_key(after)
    assert job_id(settle(before)) == job_id(before)  # a saved config keeps its own
    with pytest.raises(ConfigError, match=r"mine\.f: has been edited since this run was started"):
        refuse_edited(container(before))
    refuse_edited(container(after))


def test_only_what_a_config_names_is_looked_at(modules: Path) -> None:
    """Whether that may be imported has been asked; `own_code` may come from a stranger's folder."""
    (modules / "evil").mkdir()
    (modules / "evil/__init__.py").write_text("raise SystemExit")

    assert edited_code({**node("torch.sin"), "own_code": ["evil.deep.f 12345678"]}) == []
