"""`python train.py`: what a user sees, where the results are, and how a mistake ends."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]
QUICK = ("trainer=debug", "logger=minimal")

TrainPy = Callable[..., Any]


def runs(folder: Path) -> list[Path]:
    """The folders of runs below a folder."""
    return sorted(file.parent for file in folder.rglob("train.log"))


def overrides_of(run: Path) -> list[str]:
    found: list[str] = yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text())
    return found


def assert_is_one_message(outcome: Any, *parts: str) -> None:
    assert outcome.code == 1
    assert "Traceback" not in outcome.text
    assert outcome.text.count("error: ") == 1, outcome.text
    assert [part for part in parts if part not in outcome.text] == [], outcome.text


def test_a_run_says_what_it_does_and_leaves_a_folder(train_py: TrainPy, tmp_path: Path) -> None:
    outcome = train_py("activation=tanh", *QUICK)

    [run] = runs(tmp_path)
    assert outcome.code == 0
    assert "Tanh on digits" in outcome.text
    assert f"run    {run}" in outcome.text
    assert re.fullmatch(
        r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d_activation=tanh,logger=minimal,trainer=debug",
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

    assert [train_py(*QUICK).code for _ in range(3)] == [0, 0, 0]

    assert [str(run.relative_to(tmp_path)) for run in runs(tmp_path)] == [
        name,
        f"{name}_2",
        f"{name}_3",
    ]


def test_the_members_of_a_sweep_carry_all_their_overrides(
    train_py: TrainPy, tmp_path: Path
) -> None:
    outcome = train_py("-m", "activation=relu,tanh", "seed=0,1", *QUICK)

    assert outcome.code == 0
    [sweep] = (tmp_path / "outputs" / "sweeps").iterdir()
    assert [run.name for run in runs(sweep)] == [
        f"activation={activation},logger=minimal,seed={seed},trainer=debug"
        for activation in ("relu", "tanh")
        for seed in (0, 1)
    ]


def test_paths_long_lists_and_quotes_are_names_too(train_py: TrainPy, tmp_path: Path) -> None:
    file = tmp_path / "some data, version=2 (final).npy"
    np.save(file, np.random.default_rng(0).random((40, 4)))
    hidden = f"encoder.hidden=[{','.join(['4'] * 100)}]"

    outcome = train_py("data=array", f"data.path={file}", hidden, *QUICK, "-m")

    assert outcome.code == 0, outcome.text
    [run] = runs(tmp_path)
    assert run.name.startswith("data.path=-")
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
    assert "Custom(function=my_activations.bent)" in outcome.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["activation=thanh"], ["activation=thanh", "Did you mean tanh?", "tanhshrink"]),
        (["optimizer.lrr=1"], ["optimizer.lrr", "Did you mean lr?", "betas"]),
        (["seed=x"], ["seed=x: must be a whole number"]),
        (["optimizer.lr"], ["optimizer.lr", "KEY=VALUE"]),
        (["activation=null"], ["activation=null", "one of its options"]),
        (["--config-dir", "nowhere"], ["nowhere", "not found"]),
        (["resume=nowhere"], ["resume=nowhere"]),
        (["hydra/launcher=nowhere"], ["hydra/launcher=nowhere", "basic"]),
    ],
)
def test_a_mistake_found_before_the_job_leaves_nothing(
    arguments: list[str], said: list[str], train_py: TrainPy, tmp_path: Path
) -> None:
    assert_is_one_message(train_py(*arguments), *said)

    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["optimizer.lr=-1"], ["optimizer.lr=-1: must be a number greater than 0"]),
        (["+optimizer.lrr=1"], ["optimizer.lrr", "Did you mean lr?"]),
        (["activation=custom", "activation.function=nowhere_at_all.f"], ["nowhere_at_all.py"]),
        (["data=array", "data.path=none.npy"], ["data.path=none.npy", "no such file"]),
        (["activation@output.activation=tanh"], ["output.activation=Tanh", "[0, 1]"]),
    ],
)
def test_a_mistake_found_in_the_job_is_logged_too(
    arguments: list[str], said: list[str], train_py: TrainPy, tmp_path: Path
) -> None:
    assert_is_one_message(train_py(*arguments, *QUICK), *said)

    [run] = runs(tmp_path)
    assert said[0] in (run / "train.log").read_text()


def test_a_mistake_in_one_member_is_found_before_the_first_starts(
    train_py: TrainPy, tmp_path: Path
) -> None:
    outcome = train_py("-m", "activation=relu,thanh", *QUICK)

    assert_is_one_message(outcome, "activation=thanh", "Did you mean tanh?")
    assert runs(tmp_path) == []


def test_a_yaml_that_is_no_yaml_is_named_with_its_line(train_py: TrainPy, tmp_path: Path) -> None:
    (tmp_path / "mine" / "activation").mkdir(parents=True)
    (tmp_path / "mine" / "activation" / "bent.yaml").write_text("a: 1\n  b: 2\n")

    outcome = train_py("--config-dir", "mine", "activation=bent")

    assert_is_one_message(outcome, "activation/bent.yaml", "line 2")


@pytest.mark.parametrize("key", ["hydra.run.dir=taken", "hydra.run.dir=taken/inside"])
def test_an_output_folder_that_cannot_be_made(
    key: str, train_py: TrainPy, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")

    assert_is_one_message(train_py(*QUICK, key), "taken", "hydra.run.dir=FOLDER")


def test_outputs_in_a_place_that_cannot_be_written(train_py: TrainPy, tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file")

    assert_is_one_message(train_py(*QUICK), "outputs/", "hydra.run.dir=FOLDER")


def test_the_folder_of_another_run_is_not_touched(train_py: TrainPy, tmp_path: Path) -> None:
    assert train_py(*QUICK, "hydra.run.dir=mine").code == 0
    before = (tmp_path / "mine" / "metrics.json").read_bytes()

    assert_is_one_message(train_py(*QUICK, "hydra.run.dir=mine", "seed=1"), "mine", "has ended")

    assert (tmp_path / "mine" / "metrics.json").read_bytes() == before


def test_a_job_that_fails_does_not_stop_the_others(train_py: TrainPy, tmp_path: Path) -> None:
    outcome = train_py("-m", "optimizer.lr=-1,1e-3,0", *QUICK)

    assert outcome.code == 1
    assert "Traceback" not in outcome.text
    assert [run.name[:18] for run in runs(tmp_path) if (run / "DONE").exists()] == [
        "logger=minimal,opt"
    ]
    _, summary = outcome.text.split("2 of the sweep's jobs failed:")
    assert "optimizer.lr=-1,trainer=debug: optimizer.lr=-1: must be" in summary
    assert "optimizer.lr=0,trainer=debug: optimizer.lr=0: must be" in summary


def test_an_unexpected_error_is_logged_with_its_traceback(
    train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("activae.training.train", broken)

    outcome = train_py(*QUICK)

    [run] = runs(tmp_path)
    assert outcome.code == 1
    assert "ZeroDivisionError: a bug" in outcome.text
    assert "Traceback" in (run / "train.log").read_text()


def test_a_full_disk_is_no_bug(train_py: TrainPy, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "metrics.json")

    monkeypatch.setattr("activae.training.train", full)

    assert_is_one_message(train_py(*QUICK), "No space left on device", "metrics.json")


def interrupted_after_recording(composed: Any, folder: Path) -> None:
    from activae.config import record, settle
    from activae.models.autoencoder import Interrupted

    record(settle(composed), folder)
    raise Interrupted


@pytest.mark.parametrize("arguments", [[], ["-m", "seed=0,1"]])
def test_an_interruption_says_how_to_continue(
    arguments: list[str], train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("activae.training.train", interrupted_after_recording)
        outcome = train_py(*QUICK, *arguments)

    assert outcome.code == 130
    [run] = runs(tmp_path)
    assert "Traceback" not in outcome.text
    assert f"continue with: python train.py resume={run}\n" in outcome.text

    resumed = train_py(f"resume={run}")

    assert resumed.code == 0, resumed.text
    assert (run / "DONE").exists()
    assert runs(tmp_path) == [run]


def test_an_interruption_names_the_modules_to_trust(
    train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own.py").write_text("def f(x):\n    return x * x.sigmoid()\n")
    with monkeypatch.context() as patch:
        patch.setattr("activae.training.train", interrupted_after_recording)
        outcome = train_py(*QUICK, "activation=custom", "activation.function=my_own.f")

    [run] = runs(tmp_path)
    assert f"resume={run} 'trusted_modules=[my_own]'" in outcome.text
    assert_is_one_message(train_py(f"resume={run}"), "activation.function=my_own.f")
    assert train_py(f"resume={run}", "trusted_modules=[my_own]").code == 0


def test_an_interruption_while_importing_is_quiet(
    train_py: TrainPy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("activae.training.train", stopped)
    outcome = train_py(*QUICK)
    assert (outcome.code, outcome.text) == (130, "interrupted; nothing was computed yet\n")

    monkeypatch.setattr("hydra._internal.hydra.Hydra.compose_config", stopped)
    outcome = train_py(*QUICK)
    assert (outcome.code, outcome.text) == (130, "interrupted\n")


@pytest.fixture(scope="module")
def finished(compose: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended."""
    from activae.training import train

    folder = tmp_path_factory.mktemp("finished")
    train(compose(*QUICK), folder)
    return folder


@pytest.fixture
def unfinished(finished: Path, tmp_path: Path) -> Path:
    """The folder of a run that lacks only its scores."""
    folder = tmp_path / "12-00-00_activation=relu,seed=0"
    shutil.copytree(finished, folder)
    (folder / "DONE").unlink()
    return folder


def test_a_run_that_has_ended_cannot_be_resumed(
    unfinished: Path, train_py: TrainPy, tmp_path: Path
) -> None:
    (unfinished / "DONE").write_text("completed\n")

    assert_is_one_message(train_py(f"resume={unfinished}"), "has ended (completed)")

    assert not (tmp_path / "outputs").exists()


def test_resuming_takes_no_other_overrides(unfinished: Path, train_py: TrainPy) -> None:
    outcome = train_py(f"resume={unfinished}", "seed=1", "activation=tanh")

    assert_is_one_message(outcome, "seed=1 activation=tanh", "its own config")


def test_a_sweep_resumes_nothing(unfinished: Path, train_py: TrainPy) -> None:
    outcome = train_py("-m", f"resume={unfinished}")

    assert outcome.code == 1
    assert "leave out --multirun" in outcome.text


def test_a_config_that_names_a_foreign_module_is_not_run(
    unfinished: Path, train_py: TrainPy
) -> None:
    config = unfinished / "config.yaml"
    config.write_text(config.read_text().replace("torch.nn.ReLU", "os.system", 1))

    outcome = train_py(f"resume={unfinished}")

    assert_is_one_message(outcome, "activation._target_=os.system", "trusted_modules=[os]")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_is_named(
    name: str, content: bytes, unfinished: Path, train_py: TrainPy
) -> None:
    file = unfinished / "checkpoints" / name
    file.write_bytes(content)

    assert_is_one_message(train_py(f"resume={unfinished}"), str(file), "cannot be read")


def test_a_checkpoint_cut_short_is_named(unfinished: Path, train_py: TrainPy) -> None:
    file = unfinished / "checkpoints" / "last.ckpt"
    file.write_bytes(file.read_bytes()[:-500])

    assert_is_one_message(train_py(f"resume={unfinished}"), str(file), "cannot be read")


def test_a_checkpoint_of_another_model_is_named(unfinished: Path, train_py: TrainPy) -> None:
    config = unfinished / "config.yaml"
    config.write_text(config.read_text().replace("dim: 32", "dim: 31"))

    outcome = train_py(f"resume={unfinished}")

    assert_is_one_message(outcome, "last.ckpt", "config.yaml", "size mismatch")


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
