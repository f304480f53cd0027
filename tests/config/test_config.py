"""A settled config says everything, and is the same wherever it is settled again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ReadonlyConfigError

from activae.config.settling import container, read, settle
from activae.errors import ConfigError
from activae.results.run_folder import record
from activae.training.assembly import build_data, build_model

Compose = Callable[..., DictConfig]


def test_the_groups_activation_becomes_that_of_both_halves(compose: Compose) -> None:
    cfg = settle(compose("activation=leaky_relu", "activation.negative_slope=0.2"))

    assert cfg.encoder.activation == cfg.decoder.activation == cfg.activation
    assert cfg.encoder.activation.negative_slope == 0.2


def test_the_halves_can_be_set_apart(compose: Compose) -> None:
    cfg = settle(
        compose("activation@encoder.activation=gelu", "activation@decoder.activation=tanh")
    )

    assert cfg.encoder.activation._target_ == "torch.nn.GELU"
    assert cfg.decoder.activation._target_ == "torch.nn.Tanh"


def test_code_and_output_are_linear_unless_chosen(compose: Compose) -> None:
    assert settle(compose("activation=tanh")).encoding.activation is None
    assert settle(compose("activation=tanh")).output.activation is None

    cfg = settle(
        compose("activation@encoding.activation=tanh", "activation@output.activation=sigmoid")
    )

    assert cfg.encoding.activation._target_ == "torch.nn.Tanh"
    assert cfg.output.activation._target_ == "torch.nn.Sigmoid"


def test_a_place_has_parameters_of_its_own(compose: Compose) -> None:
    cfg = settle(
        compose(
            "activation=elu",
            "activation.alpha=2",
            "activation@decoder.activation=elu",
            "decoder.activation.alpha=3",
        )
    )

    assert (cfg.encoder.activation.alpha, cfg.decoder.activation.alpha) == (2, 3)


def test_a_parameter_of_the_activation_reaches_every_hidden_layer(compose: Compose) -> None:
    cfg = settle(compose("activation=leaky_relu", "activation.negative_slope=0.2"))

    hidden = build_model(cfg, build_data(cfg)).net.activations()

    assert len(hidden) == 4
    assert {f.negative_slope for f in hidden.values()} == {0.2}


def test_interpolations_are_resolved(compose: Compose) -> None:
    cfg = settle(compose("data=array", "data.path=mine.npy", "data.value_range=[0,255]"))

    assert container(cfg.data.source)["path"] == "mine.npy"
    assert container(cfg.data.source)["value_range"] == [0, 255]
    assert "${" not in OmegaConf.to_yaml(cfg, resolve=False)


def test_what_an_override_refers_to_is_filled_in(compose: Compose) -> None:
    cfg = settle(compose("optimizer.lr=1e-3", "optimizer.weight_decay=${optimizer.lr}"))
    assert cfg.optimizer.weight_decay == 1e-3


def test_it_cannot_be_changed_any_more(compose: Compose) -> None:
    with pytest.raises(ReadonlyConfigError):
        settle(compose()).seed = 1


def test_seed_zero_is_a_seed(compose: Compose) -> None:
    assert settle(compose("seed=0")).seed == 0


def test_settling_what_is_settled_changes_nothing(compose: Compose) -> None:
    cfg = settle(compose("activation=elu", "data=random", "scheduler=onecycle"))

    assert settle(cfg) == cfg


def test_a_recorded_config_settles_to_the_same_run(compose: Compose, tmp_path: Path) -> None:
    cfg = settle(compose("activation=elu", "activation@encoding.activation=tanh", "seed=3"))

    record(cfg, tmp_path / "run")

    assert settle(read(tmp_path / "run" / "config.yaml")) == cfg


def test_a_config_from_before_a_key_was_added_gets_its_default(
    compose: Compose, tmp_path: Path
) -> None:
    record(settle(compose()), tmp_path)
    file = tmp_path / "config.yaml"
    kept = [line for line in file.read_text().splitlines() if "projector_samples" not in line]
    file.write_text("\n".join(kept))

    assert read(file).logger.projector_samples == 1000


def test_a_run_that_goes_on_may_record_its_config_again(compose: Compose, tmp_path: Path) -> None:
    record(settle(compose()), tmp_path)
    record(settle(compose()), tmp_path)


def test_a_folder_belongs_to_one_config(compose: Compose, tmp_path: Path) -> None:
    record(settle(compose()), tmp_path)
    before = (tmp_path / "config.yaml").read_bytes()

    with pytest.raises(ConfigError, match=r"another config\.yaml; .*hydra\.run\.dir"):
        record(settle(compose("seed=1")), tmp_path)

    assert (tmp_path / "config.yaml").read_bytes() == before


def test_a_folder_whose_run_has_ended_is_left_as_it_is(compose: Compose, tmp_path: Path) -> None:
    record(settle(compose()), tmp_path)
    (tmp_path / "metrics.json").write_text('{"status": "completed"}')
    (tmp_path / "DONE").write_text("completed\n")

    with pytest.raises(ConfigError, match=r"has ended here already; .*hydra\.run\.dir"):
        record(settle(compose()), tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "cannot be read as a config"),
        ("- 1\n- 2\n", ""),
        ("seed: 0\nencoding:\n  dim: 8\n", "is damaged: it lacks activation, "),
        ("seedd: 0\n", "Did you mean seed?"),
        ("seed: x\n", "seed=x: must be a whole number"),
        ("just text", ""),
        ("", "lacks activation"),
    ],
)
def test_a_damaged_config_is_named(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(content)

    with pytest.raises(ConfigError) as raised:
        read(file)

    assert str(raised.value).startswith(f"{file}: ")
    assert said in str(raised.value)


def test_binary_rubbish_is_no_config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00\x01")

    with pytest.raises(ConfigError, match="cannot be read as a config"):
        read(tmp_path / "config.yaml")


def test_what_only_a_job_of_a_sweep_has_is_named(train_py: Callable[..., Any]) -> None:
    refused = train_py("seed=${hydra.job.num}")

    refused.assert_one_error("is made with ${hydra.job.num}, which only a job of a sweep has")


def test_a_half_that_takes_an_activation_gets_it_though_its_yaml_says_nothing_of_it(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_halves.py").write_text(
        "def taking(shape, dim, *, activation): ...\ndef fixed(shape, dim): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def settled(name: str) -> Any:
        composed = compose("activation=tanh")
        OmegaConf.set_struct(composed, False)
        composed.encoder = {"_target_": f"my_halves.{name}", "_partial_": True}
        return settle(composed)

    assert settled("taking").encoder.activation._target_ == "torch.nn.Tanh"
    assert "activation" not in settled("fixed").encoder
