"""What several test modules share: composing configs, running train.py, collecting complaints."""

from __future__ import annotations

import gc
import json
import logging
import os
import pickle
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from activae.config import names, schema
from activae.config.messages import explain
from activae.config.settling import settle
from activae.errors import UserError
from activae.results import run as training
from activae.results.run import train
from activae.results.run_folder import DONE, METRICS
from activae.training.assembly import build_data, build_model
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.module import AutoencoderModule, Interrupted
from activae.training.schedules import Adaptive, Schedule

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"

Compose = Callable[..., DictConfig]


def pytest_collection_finish() -> None:
    """Leave what is imported by now to no later garbage collection: a twentieth of the suite."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run side by side, a process a core: more threads would wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def configs_parsed_once() -> Iterator[None]:
    """Hydra parses thirty yaml files each time it composes; here each file once."""
    parsed: dict[tuple[str, int], bytes] = {}
    Plugins.instance()  # finds the sources
    files: Any = SourcesRegistry.instance().resolve("file")
    parse = files.load_config
    map_of = defaults_list._create_interpolation_map

    def load_config(source: Any, config_path: str) -> ConfigResult:
        file = Path(source.path) / source._normalize_file_name(config_path)
        if ROOT not in file.parents or not file.exists():  # a test's own, which it may write again
            mine: ConfigResult = parse(source, config_path)
            return mine
        key = (str(file), file.stat().st_mtime_ns)
        if key not in parsed:
            parsed[key] = pickle.dumps(parse(source, config_path))
        found: ConfigResult = pickle.loads(parsed[key])
        return found

    def interpolation_map(overrides: Any, defaults: list[Any], self_added: bool) -> DictConfig:
        """What `${activation}` in a list of defaults refers to. Few lists have any, and to make it
        for all takes a quarter of the time.
        """
        is_read = any(default.is_interpolation() for default in defaults)
        return map_of(overrides, defaults, self_added) if is_read else DictConfig({})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "load_config", load_config)
        patch.setattr(defaults_list, "_create_interpolation_map", interpolation_map)
        yield


@pytest.fixture(scope="session", autouse=True)
def composed_once() -> Iterator[dict[tuple[object, ...], bytes]]:
    """The same overrides give the same config, and the same options the one that values are set in:
    to compose them again took a sixth of the suite.
    """
    kept: dict[tuple[object, ...], bytes] = {}
    compose = ConfigLoaderImpl._load_configuration_impl
    join = ConfigLoaderImpl._compose_config_from_defaults_list

    def once(paths: list[str], key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        if not all(path.startswith(("pkg:", "structured:")) or str(ROOT) in path for path in paths):
            return make()  # from configs of a test's own, which it may write again
        key = (*paths, *key)
        if key not in kept:
            kept[key] = pickle.dumps(make())
        return pickle.loads(kept[key])

    def composed(loader: Any, config_name: str, overrides: list[str], **how: Any) -> DictConfig:
        paths = [str(each.path) for each in loader.get_search_path().get_path()]
        paths += [line for line in overrides if "searchpath" in line]
        key = (config_name, *overrides, *how.items(), JobRuntime.instance().get("name"))
        found = once(paths, key, lambda: compose(loader, config_name, overrides, **how))
        OmegaConf.clear_cache(found)  # the time at which another test asked for it
        found.hydra.runtime.cwd = os.getcwd()
        return found

    def joined(loader: Any, defaults: list[Any], repo: Any) -> DictConfig:
        paths = [f"{each.scheme()}:{each.path}" for each in repo.get_sources()]
        found: DictConfig = once(paths, (repr(defaults),), lambda: join(loader, defaults, repo))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigLoaderImpl, "_load_configuration_impl", composed)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", joined)
        yield kept


@pytest.fixture
def composed_anew(composed_once: dict[tuple[object, ...], bytes]) -> Iterator[None]:
    """For a test that registers configs: nothing composed before it, or in it, is used again."""
    composed_once.clear()
    yield
    composed_once.clear()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Ctrl-C works in a suite that runs in the background too, where shells have it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def compose() -> Compose:
    """`compose(*overrides)`: the config that train.py would get, not yet settled."""
    schema.register()
    names.register()

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
            model.terms(data.samples["val"][:2])  # as the first step does
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
        """It failed with one message, in which all the parts are found, wherever lines end."""
        assert self.code == 1
        assert "Traceback" not in self.text
        assert self.text.count("error: ") == 1, self.text
        flat = " ".join(self.text.split())
        assert [part for part in parts if part not in flat] == [], self.text


@pytest.fixture
def called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """`called(main, program, *arguments)`: what a command does in tmp_path, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])

    def run(main: Callable[[], object], program: Path, *arguments: str) -> Outcome:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", [str(program), *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        code: Any = 0
        with logging_restored():
            try:
                code = main()
            except SystemExit as end:
                code = end.code
            finally:
                GlobalHydra.instance().clear()
        return Outcome(
            code if isinstance(code, int) else int(code is not None), "".join(capfd.readouterr())
        )

    return run


@pytest.fixture
def train_py(called: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """`train_py(*arguments)`: what `python train.py ...` does in tmp_path, in this process."""
    program = ROOT / "train.py"

    def main() -> None:
        runpy.run_path(str(program), run_name="__main__")

    return partial(called, main, program)


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

    def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
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


@dataclass(frozen=True)
class SharedSweep:
    """`shared_sweep(*arguments)`: a small sweep by the name of s, launched in its own process.

    Its activation is that of `odd.py`, which lies in the folder of the launch.
    """

    python: Callable[..., subprocess.CompletedProcess[str]]
    train_py: Callable[..., Outcome]
    home: Path

    def __call__(self, *arguments: str) -> Outcome:
        result = self.python(str(ROOT / "train.py"), *self._command("s"), *arguments)
        return Outcome(result.returncode, result.stdout + result.stderr)

    def write_activation(self, deed: str, seed: int) -> None:
        """An activation that does the deed when a process trains the seed."""
        (self.home / "odd.py").write_text(
            "import os, signal, torch\nfrom multiprocessing import parent_process\n"
            "def odd(x):\n"
            f"    if torch.initial_seed() == {seed} and parent_process():\n        {deed}\n"
            "    return torch.tanh(x)\n"
        )

    def folders(self, name: str = "s") -> list[Path]:
        """The run folders, in the order of the jobs."""
        index = json.loads((self.home / "outputs/sweeps" / name / "sweep.json").read_text())
        return [self.home / "outputs/sweeps" / name / j["folder"] for j in index["jobs"].values()]

    def assert_only_seed_1_failed(self, outcome: Outcome, reason: str) -> None:
        """Of seeds 0, 1, 2; the launch says why, and that each of the others was trained once."""
        assert outcome.code == 1, outcome.text
        assert [(f / "DONE").exists() for f in self.folders()] == [True, False, True], outcome.text
        assert "1 of the sweep's jobs failed:" in outcome.text
        last = " ".join(outcome.text.rpartition("jobs failed:")[2].split())
        assert str(self.folders()[1].relative_to(self.home)) in last
        assert reason in last
        assert outcome.text.count("\ncompleted ") == 2
        assert "for 3 runs; 0 were done before" in outcome.text

    def assert_nothing_is_trained_again(self, *arguments: str) -> None:
        """By the same launch, and no worker is started."""
        again = self.train_py(*self._command("s"), *arguments)
        assert (again.code, "2 runs, 0 to train, 2 done" in again.text) == (0, True), again.text
        assert "for 0 runs; 2 were done before" in again.text

    def assert_as_if_trained_here(self, seeds: str) -> None:
        """The runs that are done have the metrics of a sweep on this machine."""
        here = self.train_py(*self._command("here"), "hydra.launcher.workers=1", seeds)
        assert here.code == 0, here.text
        done = [folder for folder in self.folders() if (folder / "DONE").exists()]
        for elsewhere, ours in zip(done, self.folders("here"), strict=True):
            found, wanted = (
                json.loads((f / "metrics.json").read_text()) for f in (elsewhere, ours)
            )
            assert found["test"] == pytest.approx(wanted["test"], rel=1e-4)

    def _command(self, name: str) -> tuple[str, ...]:
        quick = ("trainer=debug", "logger=minimal", "data.train_fraction=0.1")
        return ("-m", f"sweep={name}", *quick, "activation=custom", "activation.function=odd.odd")


@pytest.fixture
def shared_sweep(
    python: Callable[..., subprocess.CompletedProcess[str]],
    train_py: Callable[..., Outcome],
    tmp_path: Path,
) -> SharedSweep:
    """A sweep for launchers whose workers are other processes."""
    sweep = SharedSweep(python, train_py, tmp_path)
    sweep.write_activation("pass", seed=0)
    return sweep


def watched(schedule: Schedule, on_call: Callable[[int], None]) -> Schedule:
    """The schedule, which tells of every step it is asked about."""
    if isinstance(schedule, Adaptive):
        kind: Any = type(schedule)

        def call(self: Any, step: int, total_steps: int) -> float:
            on_call(step)
            return kind.__call__(self, step, total_steps)

        schedule.__class__ = type("Watched", (kind,), {"__call__": call})
        return schedule

    def called(step: int, total_steps: int) -> float:
        on_call(step)
        return schedule(step, total_steps)

    return called


@pytest.fixture
def stopping_after() -> Callable[[int], AbstractContextManager[None]]:
    """`with stopping_after(steps)`: asked to stop during that step, which is finished."""
    return _stopping_after


@contextmanager
def _stopping_after(steps: int) -> Iterator[None]:
    build_model = training.build_model

    def build(*args: Any) -> AutoencoderModule:
        model = build_model(*args)
        factor = model.factor

        def watched(step: int) -> float:
            model.stop_requested |= step == steps - 1
            return factor(step)

        model.factor = watched  # type: ignore[method-assign]
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "build_model", build)
        yield


@pytest.fixture
def interrupt() -> Callable[[DictConfig, Path, int], None]:
    """`interrupt(cfg, folder, steps)`: start or resume the run, and stop it after so many steps."""

    def interrupted(cfg: DictConfig, folder: Path, steps: int) -> None:
        with _stopping_after(steps), pytest.raises(Interrupted):
            train(cfg, folder)
        assert load_checkpoint(folder / LAST)["global_step"] == steps
        assert not (folder / DONE).exists()
        assert not (folder / METRICS).exists()

    return interrupted
