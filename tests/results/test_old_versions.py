"""Folders that older versions left are opened, continued and rebuilt; newer ones are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch.nn.functional import relu

from activae.config.instantiating import locate
from activae.config.migration import migrated
from activae.config.schema import VERSION
from activae.config.settling import read
from activae.config.trust import refuse_untrusted
from activae.errors import ConfigError
from activae.results.run import train
from activae.training.checkpoint import LAST, load_checkpoint
from activae.training.restoring import load_network

# Written by version 1 of the config: interrupted at step 60 of 90, in the middle of an epoch.
OLD_RUN = Path(__file__).parent / "old_run"
# What version 1 itself scored when it continued that run.
SCORED_BY_VERSION_1 = {"val": 6.032949919170804, "test": 6.090113064704831}


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return shutil.copytree(OLD_RUN, tmp_path / "run")


def test_a_run_of_version_1_is_continued_to_the_same_scores(old_run: Path) -> None:
    metrics = train(read(old_run / "config.yaml"), old_run)

    assert metrics["steps"] == 90
    scored = {stage: metrics[stage]["SE"] for stage in SCORED_BY_VERSION_1}
    assert scored == pytest.approx(SCORED_BY_VERSION_1, rel=1e-6)
    assert OmegaConf.load(old_run / "config.yaml").version == VERSION
    assert load_checkpoint(old_run / LAST)["spec"]["name"] == "digits"
    assert json.loads((old_run / "metrics.json").read_text()) == metrics


def test_the_network_of_a_run_of_version_1_is_rebuilt(old_run: Path) -> None:
    rebuilt = load_network(old_run)
    state = load_checkpoint(old_run / "checkpoints/best.ckpt")["state_dict"]
    parameters = [value for name, value in state.items() if name.startswith("net.")]
    x = rebuilt.normalisation(torch.full((2, *rebuilt.spec.shape), 8.0))

    flow = x.flatten(1)
    for number, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        flow = flow @ weight.T + bias
        flow = relu(flow) if number in (0, 2) else flow

    with torch.no_grad():
        assert torch.allclose(rebuilt.net(x).flatten(1), flow, atol=1e-6)
    assert x.allclose(torch.full_like(x, 0.5))
    assert (rebuilt.spec.shape, rebuilt.spec.samples["train"]) == ((1, 8, 8), 1258)


def test_an_output_that_the_loss_chose_stays_its_choice() -> None:
    old = {"output": {"activation": None}, "objective": {"_target_": "activae.objectives.bce"}}

    assert migrated(old, Path())["output"]["activation"] is None


def test_the_values_of_this_version_stay_as_they_are() -> None:
    values = {"version": VERSION, "output": {"activation": None}, "x": [{"_target_": "a.b"}]}

    assert migrated(values, Path()) == values


@pytest.mark.parametrize("version", [VERSION + 1, 0, "two"])
def test_a_version_that_is_not_known_is_refused_in_words(version: int | str, old_run: Path) -> None:
    file = old_run / "config.yaml"
    file.write_text(f"version: {version}\n{file.read_text()}")

    with pytest.raises(ConfigError, match=f"version={version} of the config: this activae knows"):
        load_network(old_run)


# What the configs of version 1 could name, of modules that have moved since.
VERSION_1_NAMES = (
    *("corruption.gaussian", "corruption.masking", "corruption.none", "corruption.salt_and_pepper"),
    *("models.conv.ConvDecoder", "models.conv.ConvEncoder"),
    *("models.initialisation.fitted", "models.initialisation.torch_default", "models.lsuv.lsuv"),
    *("models.mlp.MLPDecoder", "models.mlp.MLPEncoder"),
    *("models.residual.ResidualMLPDecoder", "models.residual.ResidualMLPEncoder"),
    *("phases.encoder_then_decoder", "phases.joint", "phases.layerwise"),
    *("regularisers.CodeL1", "regularisers.Contractive", "regularisers.HutchinsonContractive"),
    *("regularisers.KLSparse", "schedules.Plateau", "schedules.constant", "schedules.cosine"),
    *("schedules.onecycle", "schedules.step_decay", "data.array", "data.tabular", "objectives.mse"),
)


@pytest.mark.parametrize("name", VERSION_1_NAMES)
def test_what_version_1_named_is_found_and_trusted(name: str) -> None:
    old = {"part": {"_target_": f"activae.{name}"}}

    part = migrated(old, Path("config.yaml"))["part"]

    assert callable(locate(part["_target_"], "part"))
    refuse_untrusted({"part": part}, ())
