"""`lr=FILE` gives each activation the rate that a tuning found for it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from activae.config.identity import job_id
from activae.config.rates import put_rate
from activae.config.settling import settle
from activae.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def settled(compose: Callable[..., Any]) -> Callable[..., Any]:
    """`settled(*overrides)`: the settled config of a command."""

    def run(*overrides: str) -> Any:
        with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = hydra.compose("train", list(overrides), return_hydra_config=True)
        OmegaConf.set_struct(config, True)
        put_rate(config, config.hydra)
        task = {key: value for key, value in config.items_ex(resolve=False) if key != "hydra"}
        return settle(OmegaConf.create(task))

    return run


@pytest.fixture
def rates(tmp_path: Path) -> Path:
    file = tmp_path / "tuned_lr.yaml"
    file.write_text("relu: 0.008\ntanh: 0.016\nsin: null\nelu: fast\n")
    return file


def test_each_activation_gets_its_own_and_is_the_run_that_it_is_with_the_rate_written_out(
    settled: Callable[..., Any], rates: Path
) -> None:
    for activation, rate in (("relu", 0.008), ("tanh", 0.016)):
        config = settled(f"activation={activation}", f"lr={rates}")

        assert (config.optimizer.lr, config.lr) == (rate, None)
        written_out = settled(f"activation={activation}", f"optimizer.lr={rate}")
        assert job_id(config) == job_id(written_out)


def test_a_number_is_the_rate(settled: Callable[..., Any]) -> None:
    assert settled("lr=0.02").optimizer.lr == 0.02


def test_a_rate_may_be_of_a_choice_of_several_keys(
    settled: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "tuned_lr.yaml"
    file.write_text(
        "relu: 0.1\nactivation=relu encoding.dim=4: 0.2\nactivation=tanh encoder=deep_mlp: 0.3\n"
    )

    assert settled(f"lr={file}", "activation=relu").optimizer.lr == 0.1
    assert settled(f"lr={file}", "activation=relu", "encoding.dim=4").optimizer.lr == 0.2
    assert settled(f"lr={file}", "activation=tanh", "encoder=deep_mlp").optimizer.lr == 0.3
    with pytest.raises(ConfigError, match="no rate for activation=tanh"):
        settled(f"lr={file}", "activation=tanh")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("activation=gelu",), "no rate for activation=gelu, only for relu, tanh, sin, elu"),
        (("activation=sin",), "sin: null, because no rate"),
        (("activation=elu",), "elu: fast must be a number greater than 0"),
        (("activation=relu", "optimizer.lr=0.1"), "optimizer.lr=0.1: are two learning rates"),
    ],
)
def test_what_the_file_lacks_is_an_error_that_names_it(
    overrides: tuple[str, ...], message: str, settled: Callable[..., Any], rates: Path
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as told:
        settled(f"lr={rates}", *overrides)

    assert f"lr={rates}" in str(told.value)


def test_no_file_is_an_error(settled: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lr=none\.yaml: is neither a number nor a file"):
        settled("lr=none.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match=r"list\.yaml: holds no rates"):
        settled(f"lr={tmp_path / 'list.yaml'}")
