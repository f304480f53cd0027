"""`python train.py`: what a user sees, where the results are, and how a mistake ends."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2]
QUICK = ("trainer=debug", "logger=minimal")

TrainPy = Callable[..., Any]


def runs(folder: Path) -> list[Path]:
    """The folders of runs below a folder."""
    return sorted(file.parent for file in folder.rglob("train.log"))


def overrides_of(run: Path) -> list[str]:
    found: list[str] = yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text())
    return found


def test_a_run_says_what_it_does_and_leaves_a_folder(train_py: TrainPy, tmp_path: Path) -> None:
    outcome = train_py("activation=tanh", *QUICK)

    [run] = runs(tmp_path)
    assert outcome.code == 0
    assert "tanh on digits" in outcome.text
    assert f"run    {run.relative_to(tmp_path)}\n" in outcome.text
    assert re.fullmatch(
        r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d_tanh,logger=minimal,trainer=debug",
        str(run.relative_to(tmp_path)),
    )
    left = {str(file.relative_to(run)) for file in run.rglob("*") if file.is_file()}
    assert left >= {
        "config.yaml",
        "metrics.json",
        "history.csv",
        "train.log",
        "DONE",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
    }


def test_two_launches_in_one_second_have_two_folders(
    train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Stopped:
            return cls(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr("hydra.core.utils.datetime", Stopped)
    name = "outputs/2026-01-02/03-04-05_logger=minimal,trainer=debug"

    assert [train_py(*QUICK).code for _ in range(2)] == [0, 0]

    assert [str(run.relative_to(tmp_path)) for run in runs(tmp_path)] == [name, f"{name}_2"]


def test_the_members_of_a_sweep_are_named_by_what_tells_them_apart(
    train_py: TrainPy, tmp_path: Path
) -> None:
    outcome = train_py("-m", "activation=relu,tanh", "seed=0,1", *QUICK)

    assert outcome.code == 0
    [sweep] = (tmp_path / "outputs" / "sweeps").iterdir()
    assert [run.name for run in runs(sweep)] == [
        f"{activation},seed={seed}" for activation in ("relu", "tanh") for seed in (0, 1)
    ]


def test_paths_long_lists_and_quotes_are_names_too(train_py: TrainPy, tmp_path: Path) -> None:
    file = tmp_path / "some data, version=2 (final).npy"
    np.save(file, np.random.default_rng(0).random((40, 4)))
    hidden = f"encoder.hidden=[{','.join(['4'] * 100)}]"

    outcome = train_py("data=array", f"data.path={file}", hidden, *QUICK, "-m")

    assert outcome.code == 0, outcome.text
    [run] = runs(tmp_path)
    assert run.name.startswith("array,path=-")
    assert f"data.path={file}".replace('"', "") in "".join(overrides_of(run)).replace('"', "")


def test_an_activation_of_ones_own_lies_in_the_working_directory(
    train_py: TrainPy, tmp_path: Path
) -> None:
    (tmp_path / "my_activations.py").write_text("def bent(x, power):\n    return x + x**power\n")

    outcome = train_py(
        "activation=custom",
        "activation.function=my_activations.bent",
        "+activation.kwargs.power=2",
        *QUICK,
    )

    assert outcome.code == 0, outcome.text
    assert "custom(function=my_activations.bent)" in outcome.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["activation=thanh"], ["activation=thanh", "Did you mean tanh?", "tanhshrink"]),
        (["optimizer.lrr=1"], ["optimizer.lrr", "Did you mean lr?", "betas"]),
        (["seed=x"], ["seed=x: must be a whole number"]),
        (["optimizer.lr"], ["optimizer.lr", "KEY=VALUE"]),
        (
            ["activation=null"],
            ["activation=null: a group", "one of its options", "=identity"],
        ),
        (["logger=false", "seed=1"], ["error: logger=false: a group cannot", "logger=minimal"]),
        (["--config-dir", "nowhere"], ["nowhere", "not found"]),
        (["resume=nowhere"], ["resume=nowhere"]),
        (["hydra/launcher=nowhere"], ["hydra/launcher=nowhere", "basic"]),
        (["-m", "activation=relu,tanh", "--cfg", "job"], ["--cfg and --info", "leave out -m"]),
    ],
)
def test_a_mistake_found_before_the_job_leaves_nothing(
    arguments: list[str], said: list[str], train_py: TrainPy, tmp_path: Path
) -> None:
    outcome = train_py(*arguments)

    outcome.assert_one_error(*said)
    words = [line.removeprefix("error: ").strip() for line in outcome.text.splitlines()]
    assert all(len(line) <= 80 for line in words if " " in line)

    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["optimizer.lr=-1"], ["optimizer.lr=-1: must be a number greater than 0"]),
        (["+optimizer.lrr=1"], ["optimizer.lrr", "Did you mean lr?"]),
        (["activation=custom", "activation.function=nowhere_at_all.f"], ["nowhere_at_all.py"]),
        (["data=array", "data.path=none.npy"], ["data.path=none.npy", "no such file"]),
        (["data.path=mine.csv"], ["data.path=mine.csv: data=digits reads no file", "data=array"]),
        (["activation@output.activation=tanh"], ["output.activation=Tanh", "[0, 1]"]),
    ],
)
def test_a_mistake_found_in_the_job_leaves_nothing_either(
    arguments: list[str], said: list[str], train_py: TrainPy, tmp_path: Path
) -> None:
    train_py(*arguments, *QUICK).assert_one_error(*said)

    assert [*(tmp_path / "outputs").iterdir()] == []


def test_a_folder_that_the_user_named_stays_with_the_log(train_py: TrainPy, tmp_path: Path) -> None:
    train_py("optimizer.lr=-1", "hydra.run.dir=mine", *QUICK).assert_one_error("optimizer.lr=-1")

    assert "optimizer.lr=-1" in (tmp_path / "mine" / "train.log").read_text()


def test_a_mistake_that_all_members_share_is_told_once(train_py: TrainPy, tmp_path: Path) -> None:
    outcome = train_py("-m", "activation=relu,tanh", "optimizer.lr=-1", *QUICK)

    outcome.assert_one_error("optimizer.lr=-1: must be", "all 2 runs")
    assert outcome.text.count("must be") == 1
    assert [*(tmp_path / "outputs" / "sweeps").iterdir()] == []


def test_a_mistake_in_one_member_is_found_before_the_first_starts(
    train_py: TrainPy, tmp_path: Path
) -> None:
    outcome = train_py("-m", "activation=relu,thanh", *QUICK)

    outcome.assert_one_error("activation=thanh", "Did you mean tanh?")
    assert runs(tmp_path) == []


def test_a_yaml_that_is_no_yaml_is_named_with_its_line(train_py: TrainPy, tmp_path: Path) -> None:
    (tmp_path / "mine" / "activation").mkdir(parents=True)
    (tmp_path / "mine" / "activation" / "bent.yaml").write_text("a: 1\n  b: 2\n")

    outcome = train_py("--config-dir", "mine", "activation=bent")

    outcome.assert_one_error("activation/bent.yaml", "line 2")


@pytest.mark.parametrize("key", ["hydra.run.dir=taken", "hydra.run.dir=taken/inside"])
def test_an_output_folder_that_cannot_be_made(key: str, train_py: TrainPy, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    train_py(*QUICK, key).assert_one_error("taken", "hydra.run.dir=FOLDER")


def test_outputs_in_a_place_that_cannot_be_written(train_py: TrainPy, tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")

    train_py(*QUICK).assert_one_error("outputs/", "hydra.run.dir=FOLDER")


def test_the_folder_of_another_run_is_not_touched(train_py: TrainPy, tmp_path: Path) -> None:
    assert train_py(*QUICK, "hydra.run.dir=mine").code == 0
    before = (tmp_path / "mine" / "metrics.json").read_bytes()

    train_py(*QUICK, "hydra.run.dir=mine", "seed=1").assert_one_error("mine", "has ended")

    assert (tmp_path / "mine" / "metrics.json").read_bytes() == before


def test_a_job_that_fails_does_not_stop_the_others(train_py: TrainPy, tmp_path: Path) -> None:
    outcome = train_py("-m", "optimizer.lr=-1,1e-3,0", *QUICK)

    assert outcome.code == 1
    assert "Traceback" not in outcome.text
    done = [run.name for run in runs(tmp_path) if (run / "DONE").exists()]
    assert done == ["lr=0.001"]
    _, summary = outcome.text.split("2 of the sweep's jobs failed:")
    assert "lr=-1: optimizer.lr=-1: must be" in summary
    assert "lr=0: optimizer.lr=0: must be" in summary


def test_an_unexpected_error_is_logged_with_its_traceback(
    train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("activae.results.run.train", broken)

    outcome = train_py(*QUICK)

    [run] = runs(tmp_path)
    assert outcome.code == 1
    assert "ZeroDivisionError: a bug" in outcome.text
    assert "Traceback" in (run / "train.log").read_text()


def test_a_full_disk_is_no_bug(train_py: TrainPy, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "metrics.json")

    monkeypatch.setattr("activae.results.run.train", full)

    train_py(*QUICK).assert_one_error("No space left on device", "metrics.json")


def test_a_config_can_be_shown_without_a_run(train_py: TrainPy, tmp_path: Path) -> None:
    outcome = train_py("--cfg", "job", "activation=tanh")

    assert yaml.safe_load(outcome.text)["activation"]["_target_"] == "torch.nn.Tanh"
    assert not (tmp_path / "outputs").exists()


def test_help_lists_every_option_without_importing_torch(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    script = f"""
import runpy, sys
sys.argv = ["train.py", "--help"]
try:
    runpy.run_path({str(ROOT / "train.py")!r}, run_name="__main__")
finally:
    heavy = {{"torch", "numpy", "pytorch_lightning", "sklearn"}} & set(sys.modules)
    print("heavy:", *sorted(heavy))
"""

    answer = python("-c", script)

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.endswith("heavy:\n")
    for group in (ROOT / "configs").iterdir():
        options = sorted(file.stem for file in group.glob("*.yaml"))
        if options and group.name not in ("experiment", "hydra"):
            assert f"{group.name}: {', '.join(options)}\n" in answer.stdout
    assert not list(tmp_path.iterdir())


def test_a_task_function_that_the_launchers_would_not_call_is_refused(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    mine = (ROOT / "train.py").read_text()
    mine = mine.replace("Path(__file__).resolve().parent", f"Path({str(ROOT)!r})")
    mine = mine.replace("(run_job)\n", "(edited)\n")
    edit = "def edited(cfg):\n    print('edited', cfg.seed)\n    return 1.0\n\n\n"
    (tmp_path / "mine.py").write_text(mine.replace("main = hydra", f"{edit}main = hydra"))

    refused = python("mine.py", "-m", "seed=0,1", *QUICK)

    assert refused.returncode == 1
    for part in ("hydra/launcher=stacked", "__main__.edited", "run_job", "hydra.callbacks"):
        assert part in refused.stderr
    assert "Traceback" not in refused.stderr
    called = python("mine.py", "-m", "hydra/launcher=basic", "seed=3,4", *QUICK)
    assert "edited 3" in called.stdout
    assert "edited 4" in called.stdout


@pytest.mark.parametrize(
    "flags", [["--cfg", "job"], ["--cfg", "all", "--resolve"], ["--info", "config"], ["--help"]]
)
def test_what_only_shows_makes_no_folder(
    flags: list[str], train_py: TrainPy, tmp_path: Path
) -> None:
    assert train_py("data=digits", *flags, "seed=1").code == 0

    assert list(tmp_path.iterdir()) == []


def test_a_bug_while_hydra_composes_looks_like_one(
    train_py: TrainPy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("hydra._internal.hydra.Hydra.run", broken)

    with pytest.raises(ValueError, match="a bug"):
        train_py(*QUICK)


@pytest.mark.parametrize("name", ["lr=0.1", "für"])
def test_a_run_folder_of_any_name(name: str, train_py: TrainPy, tmp_path: Path) -> None:
    assert train_py(f"hydra.run.dir={tmp_path / name}", *QUICK).code == 0

    assert (tmp_path / name / "DONE").exists()
