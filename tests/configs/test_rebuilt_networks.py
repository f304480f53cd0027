"""The network of any run is rebuilt from its folder alone, whatever data and network it has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from activae.config.settling import settle
from activae.data.preparation import stored
from activae.errors import ConfigError
from activae.results.recording import Recorders
from activae.results.run_folder import record
from activae.training.assembly import build_data, build_model
from activae.training.checkpoint import BEST, load_checkpoint
from activae.training.fitting import fit
from activae.training.module import AutoencoderModule
from activae.training.process import process_state
from activae.training.restoring import Restored, load_network

Compose = Callable[..., DictConfig]

CONFIGS = Path(__file__).parents[2] / "configs"
OPTIONS = [
    (group, file.stem)
    for group in ("data", "encoder", "decoder", "latent", "objective", "phases", "init")
    for file in sorted(CONFIGS.glob(f"{group}/*.yaml"))
]
QUICK = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.batch_size=16",
    "trainer.max_steps=4",
)


def trained(cfg: DictConfig, folder: Path) -> AutoencoderModule:
    """The module with the best weights of a run that has been trained in the folder."""
    cfg = settle(cfg)
    record(cfg, folder)
    data = build_data(cfg)
    model = build_model(cfg, data)
    with process_state(cfg.seed):
        fit(cfg, model, data, folder, Recorders())
    model.load_state_dict(load_checkpoint(folder / BEST)["state_dict"])
    return model.eval()


def assert_same(model: AutoencoderModule, rebuilt: Restored) -> None:
    data = model.data
    samples = data.samples["val"][:20]
    raw = torch.rand(3, *data.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert rebuilt.net(samples).equal(model.net(samples))
        assert rebuilt.net.encode(samples).equal(model.net.encode(samples))
    assert rebuilt.normalisation(raw).equal(data.normalisation(raw))
    assert rebuilt.spec == data.spec
    assert stored(rebuilt.preparation) == stored(data.source.preparation)


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_it_gives_the_same_outputs_without_the_data(
    group: str,
    name: str,
    compose: Compose,
    mandatory: Callable[[str, str], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = []
    for override in mandatory(group, name):
        key, _, value = override.partition("=")
        if key == "data.path":
            original = Path(value.strip("'"))
            copied = tmp_path / original.name
            (shutil.copytree if original.is_dir() else shutil.copy)(original, copied)
            override = f"{key}='{copied}'"
        needed.append(override)
    model = trained(compose(f"{group}={name}", *needed, *QUICK), tmp_path / "run")
    for path in tmp_path.glob("mine.*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    forbidden: Any = None  # to call it is an error
    monkeypatch.setattr("activae.training.assembly.build_data", forbidden)

    assert_same(model, load_network(tmp_path / "run"))


@pytest.mark.parametrize(
    "overrides",
    [
        ("trainer.precision=64-true",),
        ("activation=prelu", "encoder.normalisation=batch", "decoder.dropout=0.2"),
        ("data.normalisation=standardise", "regulariser=code_l1", "corruption=masking"),
    ],
    ids=" ".join,
)
def test_it_has_the_precision_and_the_buffers_of_the_run(
    overrides: tuple[str, ...], compose: Compose, tmp_path: Path
) -> None:
    model = trained(compose(*overrides, *QUICK), tmp_path)
    before = torch.get_rng_state()

    rebuilt = load_network(tmp_path)

    assert_same(model, rebuilt)
    assert torch.get_rng_state().equal(before)
    assert not rebuilt.net.training


def test_what_a_config_names_is_imported_only_if_trusted(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, home = tmp_path / "run", tmp_path / "home"
    trained(compose(*QUICK), folder)
    home.mkdir()
    (home / "stranger.py").write_text("import torch\nclass Odd(torch.nn.Tanh): pass\n")
    monkeypatch.syspath_prepend(home)
    config = OmegaConf.load(folder / "config.yaml")
    config.encoder.activation._target_ = "stranger.Odd"
    OmegaConf.save(config, folder / "config.yaml")

    with pytest.raises(ConfigError, match=r"encoder\.activation\._target_=stranger\.Odd"):
        load_network(folder)
    assert "stranger" not in sys.modules
    rebuilt = load_network(folder, trusted=["stranger"])
    names = [type(module).__name__ for module in rebuilt.net.encoder.modules()]
    assert "Odd" in names


def test_it_needs_no_lightning() -> None:
    code = "import sys, activae.training.restoring; print('pytorch_lightning' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_a_function_that_was_edited_since_is_told_of(
    compose: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_rebuilt.py").write_text("import torch\nf = torch.nn.Tanh()\n")
    custom = ("activation=custom", "activation.function=mine_rebuilt.f")
    trained(compose(*custom, *QUICK), tmp_path / "run")
    load_network(tmp_path / "run", trusted=["mine_rebuilt"])
    assert "edited" not in caplog.text

    (tmp_path / "mine_rebuilt.py").write_text("import torch\nf = torch.nn.SiLU()\n")
    load_network(tmp_path / "run", trusted=["mine_rebuilt"])

    assert "mine_rebuilt.f has been edited since the run was trained" in caplog.text
