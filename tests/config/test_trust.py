"""The config of a run folder names only what is harmless, unless the user says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from activae.config.settling import read, settle
from activae.config.trust import refuse_untrusted, untrusted
from activae.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


def custom(function: str) -> dict[str, Any]:
    return {"activation": {"_target_": "activae.activations.Custom", "function": function}}


@pytest.mark.parametrize(
    "path",
    [
        "torch.nn.ReLU",
        "torch.nn.modules.activation.ReLU",
        "torch.optim.Adam",
        "pytorch_optimizer.Lion",
        "activae.models.MLPEncoder",
        "activae.models.conv.ConvDecoder",
        "activae.objectives.mse",
        "activae.training.schedules.cosine",
        "activae.data.digits",
        "activae.activations.Snake",
    ],
)
def test_what_configs_are_made_of_is_trusted(path: str) -> None:
    refuse_untrusted({"x": {"_target_": path}}, [])


@pytest.mark.parametrize(
    "function", ["torch.special.erf", "torch.nn.functional.gelu", "torch.nn.functional.silu"]
)
def test_so_are_the_functions_of_torch_that_serve_as_activations(function: str) -> None:
    refuse_untrusted(custom(function), [])


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "pytorch_optimizer.load_optimizer",
        "torchvision.io.read_file",
        "activae.config.instantiating.call",
        "activae.config.dotted_path.resolve",
        "activae.activations.custom.resolve",
        "activae.objectives.declared.evaluated",
        "activae.objectives.objective.strengths_of",
        "activae_of_another.Thing",
        "torch.nn.functional.__dict__.get",
        "torch.nn.Module.__init__",
    ],
)
def test_everything_else_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"^encoder\._target_=.*may name only .*trusted_modules="):
        refuse_untrusted({"encoder": {"_target_": path, "_partial_": True}}, [])


@pytest.mark.parametrize(
    "path", ["torch.nn.functional.torch.load", "activae.data.sources.images.pickle.loads"]
)
def test_nor_can_it_be_reached_through_a_trusted_module(path: str) -> None:
    with pytest.raises(ConfigError):
        refuse_untrusted({"encoder": {"_target_": path}}, [])


def test_nothing_is_imported_to_find_that_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "harmful.py").write_text("raise SystemExit('imported')\n")

    with pytest.raises(ConfigError, match=r"activation\.function=harmful\.f"):
        refuse_untrusted(custom("harmful.f"), [])


@pytest.mark.parametrize("key", ["activation", "regulariser"])
def test_a_folders_config_is_checked_before_it_is_settled(
    key: str, compose: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "harmful_one.py").write_text("raise SystemExit('imported')\n")
    cfg = compose()
    node = {"_target_": "harmful_one.F", "_partial_": True}
    cfg[key] = node if key == "activation" else {"mine": node}

    with pytest.raises(ConfigError, match=r"_target_=harmful_one\.F: .* may name only"):
        settle(cfg, trusted=[])
    with pytest.raises(ConfigError, match="importing harmful_one raised SystemExit"):
        settle(cfg, trusted=["harmful_one"])


@pytest.mark.parametrize(
    "value",
    ["${oc.env:HOME}", "${oc.create:${oc.decode:'{_target_: os.system}'}}", "${decoder}", "a${b}"],
)
def test_a_saved_config_holds_no_interpolation(value: str, compose: Any, tmp_path: Path) -> None:
    saved = OmegaConf.to_container(settle(compose()))
    assert isinstance(saved, dict)
    file = tmp_path / "config.yaml"
    for place, key in ((saved, "activation"), (saved["encoder"], "hidden")):
        kept = place[key]
        place[key] = value if place is saved else [1, value]
        file.write_text(yaml.safe_dump(saved))
        with pytest.raises(ConfigError, match=rf"config\.yaml: .*{key}.*not interpolations"):
            read(file)
        place[key] = kept

    file.write_text(yaml.safe_dump(saved))
    assert read(file) == settle(compose())


def test_nodes_are_found_at_any_depth() -> None:
    hidden = {"a": [{"b": {"_target_": "torch.nn.ReLU", "c": {"_target_": "os.system"}}}]}

    assert list(untrusted(hidden, [])) == [("a[0].b.c._target_", "os.system")]


def test_the_user_can_trust_a_module() -> None:
    config = custom("my_package.module.f") | {"encoder": {"_target_": "other.Encoder"}}

    assert [path for _, path in untrusted(config, ["my_package"])] == ["other.Encoder"]
    refuse_untrusted(config, ["my_package", "other"])
    with pytest.raises(ConfigError, match=r"'trusted_modules=\[my_package,other\]'"):
        refuse_untrusted(config, ["my_package"])


def test_a_name_that_only_begins_like_a_trusted_one_is_not() -> None:
    with pytest.raises(ConfigError):
        refuse_untrusted(custom("my_package_of_another.f"), ["my_package"])


# A stranger's run tells them nothing until the user says so.
SERVICES = tuple(f"pytorch_lightning.loggers.{n}" for n in ("WandbLogger", "MLFlowLogger"))


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*/*.yaml")), ids=lambda file: file.stem)
def test_every_option_can_be_resumed(file: Path) -> None:
    node = OmegaConf.to_container(OmegaConf.load(file))

    named = [path for _, path in untrusted({file.parent.name: node}, [])]

    services = SERVICES if file.parent.name == "logger" else ()
    assert [path for path in named if path not in ("???", *services)] == []
