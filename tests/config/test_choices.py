"""The options that a config was composed of: its own record of them, and what it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from activae.config.choices import note_choices
from activae.config.identity import job_id
from activae.config.instantiating import activation_label
from activae.config.settling import settle
from activae.results import run_folder

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def chosen(compose: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    """`chosen(*overrides)`: the settled config with its choices, as train.py has it."""
    compose()  # registers what Hydra needs

    def found(*overrides: str) -> DictConfig:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = hydra.compose("train", list(overrides), return_hydra_config=True)
        with open_dict(config):
            note_choices(config, config.pop("hydra"))
        return settle(config)

    return found


def test_the_options_of_groups_are_kept_by_their_places(chosen: Callable[..., DictConfig]) -> None:
    cfg = chosen("activation=gelu", "activation@encoder.activation=tanh", "regulariser=code_l1")

    assert cfg.choices.activation == "gelu"
    assert cfg.choices["encoder.activation"] == "tanh"
    assert cfg.choices.optimizer == "adam"
    assert cfg.choices.regulariser == "code_l1"
    assert "decoder.activation" not in cfg.choices  # null
    assert not [place for place in cfg.choices if "hydra" in place or "launcher" in place]


def test_experiments_beside_each_other_are_told_together(
    chosen: Callable[..., DictConfig],
) -> None:
    cfg = chosen("experiment=vae", "+experiment@_global_=ae")

    assert cfg.choices.experiment == "vae, ae"
    assert "_global_" not in cfg.choices


def test_they_make_no_other_run(
    chosen: Callable[..., DictConfig], compose: Callable[..., DictConfig], tmp_path: Path
) -> None:
    noted, older = chosen("activation=gelu"), settle(compose("activation=gelu"))

    assert not older.choices
    assert job_id(noted) == job_id(older)
    run_folder.record(older, tmp_path)  # by a version without them
    run_folder.record(noted, tmp_path)
    assert OmegaConf.load(tmp_path / "config.yaml").choices.activation == "gelu"


@pytest.mark.parametrize(
    ("overrides", "label"),
    [
        (["activation=gelu"], "gelu"),
        (["activation=gelu_tanh"], "gelu_tanh"),
        (["activation=elu", "activation.alpha=0.25"], "elu(alpha=0.25)"),
        (["activation@encoder.activation=gelu", "activation=tanh"], "gelu / tanh"),
        (["activation=custom", "activation.function=torch.sin"], "custom(function=torch.sin)"),
    ],
)
def test_an_activation_goes_by_its_option(
    overrides: list[str], label: str, chosen: Callable[..., DictConfig]
) -> None:
    assert activation_label(chosen(*overrides)) == label


def test_a_name_that_leads_elsewhere_opens_nothing(chosen: Callable[..., DictConfig]) -> None:
    cfg = chosen("activation=gelu").copy()
    OmegaConf.set_readonly(cfg, False)
    for name in ("../encoder/mlp", "os.path", "json"):
        cfg.choices.activation = name
        assert activation_label(cfg) == f"{name}(approximate=none)"
