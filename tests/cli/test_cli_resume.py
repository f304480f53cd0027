"""`python train.py resume=RUN`, and what an interruption says of it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from activae.errors import ConfigError
from activae.training.restoring import load_network

QUICK = ("trainer=debug", "logger=minimal")

TrainPy = Callable[..., Any]


def runs(folder: Path) -> list[Path]:
    """The folders of runs below a folder."""
    return sorted(file.parent for file in folder.rglob("train.log"))


def interrupted_after_recording(composed: Any, folder: Path) -> None:
    from activae.config.settling import settle
    from activae.results.run_folder import record
    from activae.training.module import Interrupted

    record(settle(composed), folder)
    raise Interrupted


def test_an_interruption_says_how_to_continue(
    train_py: TrainPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("activae.results.run.train", interrupted_after_recording)
        outcome = train_py(*QUICK)

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
        patch.setattr("activae.results.run.train", interrupted_after_recording)
        outcome = train_py(*QUICK, "activation=custom", "activation.function=my_own.f")

    [run] = runs(tmp_path)
    assert f"resume={run} 'trusted_modules=[my_own]'" in outcome.text
    train_py(f"resume={run}").assert_one_error("activation.function=my_own.f")
    assert train_py(f"resume={run}", "trusted_modules=[my_own]").code == 0


def test_an_interruption_while_importing_is_quiet(
    train_py: TrainPy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("activae.results.run.train", stopped)
    outcome = train_py(*QUICK)
    assert (outcome.code, outcome.text) == (130, "interrupted; nothing was computed yet\n")

    monkeypatch.setattr("hydra._internal.hydra.Hydra.compose_config", stopped)
    outcome = train_py(*QUICK)
    assert (outcome.code, outcome.text) == (130, "interrupted\n")


@pytest.fixture(scope="module")
def finished(compose: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended."""
    from activae.results.run import train

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

    train_py(f"resume={unfinished}").assert_one_error("has ended (completed)")

    assert not (tmp_path / "outputs").exists()


def test_resuming_takes_no_other_overrides(unfinished: Path, train_py: TrainPy) -> None:
    outcome = train_py(f"resume={unfinished}", "seed=1", "activation=tanh")

    outcome.assert_one_error("seed=1 activation=tanh", "its own config")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["sampler=kde"], "use.py fit-sampler {} --sampler kde`"),
        (
            ["sampler=gmm", "sampler.components=5"],
            "use.py fit-sampler {} --sampler gmm --components 5`",
        ),
        (
            ["sampler=two_stage", "sampler.hidden=[8]"],
            "`activae.load('{}').fit_sampler('two_stage', hidden=[8])` in Python",
        ),
    ],
)
def test_a_sampler_for_a_run_that_exists_is_fitted_by_another_command(
    overrides: list[str], said: str, finished: Path, train_py: TrainPy
) -> None:
    outcome = train_py(f"resume={finished}", *overrides)

    outcome.assert_one_error(f"{' '.join(overrides)}: resume=", "Once it has ended")
    assert said.format(finished) in " ".join(outcome.text.split())
    assert "init_from" not in outcome.text


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

    outcome.assert_one_error("activation._target_=os.system", "trusted_modules=[os]")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_is_named(
    name: str, content: bytes, unfinished: Path, train_py: TrainPy
) -> None:
    file = unfinished / "checkpoints" / name
    file.write_bytes(content)

    train_py(f"resume={unfinished}").assert_one_error(str(file), "cannot be read")


def test_a_checkpoint_cut_short_is_named(unfinished: Path, train_py: TrainPy) -> None:
    file = unfinished / "checkpoints" / "last.ckpt"
    file.write_bytes(file.read_bytes()[:-500])

    train_py(f"resume={unfinished}").assert_one_error(str(file), "cannot be read")


def test_a_checkpoint_of_another_model_is_named(unfinished: Path, train_py: TrainPy) -> None:
    config = unfinished / "config.yaml"
    config.write_text(config.read_text().replace("dim: 8", "dim: 7"))

    outcome = train_py(f"resume={unfinished}")

    outcome.assert_one_error("last.ckpt", "config.yaml", "size mismatch")


EVIL = "open(__file__ + '.canary', 'w').close()\ndef f(x, **_):\n    return x\n\nclass F: ...\n"
CUSTOM = {"_target_": "activae.activations.Custom", "_partial_": True}


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "gift.evil.F", "_partial_": True},
        {**CUSTOM, "function": "gift.evil.f"},
        {**CUSTOM, "function": "pydoc.pipepager"},
        "${oc.create:${oc.decode:'{_target_: gift.evil.F, _partial_: true}'}}",
    ],
)
def test_a_run_from_anybody_runs_no_code_of_its_own(
    node: Any, unfinished: Path, train_py: TrainPy, tmp_path: Path
) -> None:
    gift = unfinished.rename(tmp_path / "gift")
    (gift / "evil.py").write_text(EVIL)
    config = gift / "config.yaml"
    harmless = config.read_text()
    for key in ("activation", "encoder.activation", "regulariser.zz", "callbacks.zz"):
        saved = yaml.safe_load(harmless)
        *outer, name = key.split(".")
        place = saved[outer[0]] if outer else saved
        place[name] = node
        config.write_text(yaml.safe_dump(saved))

        resumed = train_py("resume=gift", "trusted_modules=[my_own]")
        with pytest.raises(ConfigError, match=re.escape(key)):
            load_network(gift)

        resumed.assert_one_error(key)
        assert not list(gift.rglob("*.canary"))


def test_the_working_folder_is_no_import_path_for_a_run_from_anybody(
    unfinished: Path, train_py: TrainPy, tmp_path: Path
) -> None:
    assert train_py(f"resume={unfinished}").code == 0

    assert str(tmp_path) not in sys.path
