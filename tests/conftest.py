"""What several test modules share: composing configs, running train.py, collecting complaints."""

from __future__ import annotations

import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from activae import hydra_names, schema
from activae.assembly import build_data, build_model
from activae.config import settle
from activae.errors import UserError
from activae.mistakes import explain

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run side by side, a process a core: more threads would wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def compose() -> Compose:
    """`compose(*overrides)`: the config that train.py would get, not yet settled."""
    schema.register()
    hydra_names.register()

    def composed(*overrides: str) -> DictConfig:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            return hydra.compose("train", list(overrides))

    return composed


@pytest.fixture
def complaint(compose: Compose) -> Callable[..., str]:
    """`complaint(*overrides)`: what is said of them, at whatever stage on the way to training."""

    def about(*overrides: str) -> str:
        try:
            cfg = settle(compose("trainer=cpu", *overrides))
            data = build_data(cfg)
            model = build_model(cfg, data)
            model.objective(model.net, data.samples["val"][:2])  # as the first step does
        except UserError as error:
            return str(error)
        except (HydraException, OmegaConfBaseException) as error:
            return explain(error)
        raise AssertionError(f"{overrides} were accepted")

    return about


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code and all that it printed."""

    code: int
    text: str

    def assert_one_error(self, *parts: str) -> None:
        """It failed with one message, in which all the parts are found."""
        assert self.code == 1
        assert "Traceback" not in self.text
        assert self.text.count("error: ") == 1, self.text
        assert [part for part in parts if part not in self.text] == [], self.text


@pytest.fixture
def train_py(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """`train_py(*arguments)`: what `python train.py ...` does in tmp_path, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py"), *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        code = 0
        with logging_restored():
            try:
                runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            finally:
                GlobalHydra.instance().clear()
        return Outcome(code, "".join(capfd.readouterr()))

    return run


@contextmanager
def logging_restored() -> Iterator[None]:
    """Close the log files that Hydra opens, and leave pytest's handlers as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python(*arguments)`: a process of its own in tmp_path; each costs the imports again."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
