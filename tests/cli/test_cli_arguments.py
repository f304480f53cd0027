"""What becomes of the arguments of `python train.py` before Hydra gets them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from activae.cli.command import start


@pytest.fixture
def for_hydra(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """`for_hydra(*arguments)`: the command's arguments as Hydra gets them."""
    monkeypatch.setattr(sys, "path", sys.path[:])

    def started(*arguments: str) -> list[str]:
        seen: list[str] = []
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        start(lambda: seen.extend(sys.argv[1:]))
        return seen

    return started


@pytest.mark.parametrize(
    "value", ["12-00-00_activation=tanh,seed=1", "[final] (x).npy", "it's.npy", 'a "b".npy', "層"]
)
@pytest.mark.parametrize("key", ["resume", "data.path", "data.root"])
def test_paths_are_taken_literally(
    key: str,
    value: str,
    for_hydra: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / value).touch()

    [override] = OverridesParser.create().parse_overrides(for_hydra(f"{key}={value}"))

    assert isinstance(override.value(), str)
    assert override.value() == value


@pytest.mark.parametrize(
    "arguments",
    [
        ["resume=null"],
        ["resume='in quotes'"],
        ["data.path=a.npy,b.npy"],
        ["-m", "seed=0,1", "activation=relu,tanh"],
    ],
)
def test_other_arguments_are_left_as_they_are(
    arguments: list[str], for_hydra: Callable[..., list[str]]
) -> None:
    assert for_hydra(*arguments) == arguments


def test_the_flag_of_a_sweep_may_stand_anywhere(for_hydra: Callable[..., list[str]]) -> None:
    assert for_hydra("a=1,2", "-m", "seed=0,1") == ["-m", "a=1,2", "seed=0,1"]
