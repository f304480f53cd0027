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
@pytest.mark.parametrize("key", ["resume", "data.path", "data.root", "hydra.run.dir"])
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


def test_a_label_may_be_named_by_the_shorter_key(for_hydra: Callable[..., list[str]]) -> None:
    assert for_hydra("data.source.label=species") == ["data.source.label_column=species"]


def test_a_learning_rate_is_a_number_or_a_file(
    for_hydra: Callable[..., list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "a,lr=1.yaml"
    file.touch()
    assert for_hydra("lr=1e-3") == ["lr=1e-3"]
    assert for_hydra("lr=1e-3,1e-2") == ["lr=1e-3,1e-2"]
    assert for_hydra(f"lr={file}") == [f'lr="{file}"']


def test_the_flag_of_a_sweep_may_stand_anywhere(for_hydra: Callable[..., list[str]]) -> None:
    assert for_hydra("a=1,2", "-m", "seed=0,1") == ["-m", "a=1,2", "seed=0,1"]


@pytest.mark.parametrize("key", ["resume", "data.path", "data.root", "hydra.run.dir"])
def test_a_tilde_is_the_home_folder(
    key: str, for_hydra: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert for_hydra(f"{key}=~/new/lr=0.1") == [f'{key}="/home/me/new/lr=0.1"']


@pytest.mark.parametrize(
    ("arguments", "ordered"),
    [
        (["a=1", "--cfg", "job", "seed=1"], ["--cfg", "job", "a=1", "seed=1"]),
        (["a=1", "--info", "seed=1"], ["--info=all", "a=1", "seed=1"]),
        (["a=1", "-i", "plugins", "seed=1"], ["-i", "plugins", "a=1", "seed=1"]),
        (["--cfg=all", "a=1", "--resolve"], ["--cfg=all", "--resolve", "a=1"]),
        (["a=1", "-cd", "mine", "~b"], ["-cd", "mine", "a=1", "~b"]),
    ],
)
def test_flags_may_stand_between_overrides(
    arguments: list[str], ordered: list[str], for_hydra: Callable[..., list[str]]
) -> None:
    assert for_hydra(*arguments) == ordered


def test_a_config_path_starts_from_the_working_folder(
    for_hydra: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert for_hydra("seed=1", "-cp", "mine")[-2:] == [f"--config-path={tmp_path}/mine", "seed=1"]


def test_all_stands_for_every_activation_but_the_one_without_a_function(
    for_hydra: Callable[..., list[str]],
) -> None:
    assert for_hydra("-m", "activation=all") == ["-m", "activation=glob(*,exclude=custom)"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("activation=glob(c*)", "activation=glob(c*,exclude=custom)"),
        ("activation=glob([c*,re*])", "activation=glob([c*,re*],exclude=custom)"),
        (
            "activation@encoder.activation=glob(*)",
            "activation@encoder.activation=glob(*,exclude=custom)",
        ),
        ("activation=glob(*,exclude=g*)", "activation=glob(*,exclude=g*)"),
        ("encoder=glob(*)", "encoder=glob(*)"),
    ],
)
def test_a_pattern_takes_the_custom_activation_only_where_its_function_is_given(
    for_hydra: Callable[..., list[str]], given: str, taken: str
) -> None:
    assert for_hydra("-m", given) == ["-m", taken]
    function = "activation.function=my.f"
    assert for_hydra("-m", given, function) == ["-m", given, function]
