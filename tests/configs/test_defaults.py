"""What a newcomer's first run does, and the article's set-up in one word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from torch import nn

from activae.config.settling import settle
from activae.results.run import train
from activae.training.assembly import build_data, build_model

Compose = Callable[..., DictConfig]


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])  # a typical one, and the slowest
def test_the_first_run_beats_pca(activation: str, compose: Compose, tmp_path: Path) -> None:
    quiet = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false")

    metrics = train(compose(f"activation={activation}", *quiet), tmp_path)

    assert metrics["ratio_to_pca"] < 0.8


def test_other_data_keep_the_general_defaults(compose: Compose) -> None:
    cfg = compose("data=mnist")

    assert (cfg.encoding.dim, cfg.trainer.max_epochs) == (32, 50)


@pytest.mark.parametrize(
    ("overrides", "chosen"),
    [
        ((), (8, 100)),
        (("encoding=dim16",), (16, 100)),
        (("encoding.dim=3",), (3, 100)),
        (("trainer=debug",), (8, 2)),
        (("trainer.max_epochs=7",), (8, 7)),
    ],
    ids=str,
)
def test_what_the_command_says_goes_before_the_defaults_of_digits(
    overrides: tuple[str, ...], chosen: tuple[int, int], compose: Compose
) -> None:
    cfg = compose(*overrides)

    assert (cfg.encoding.dim, cfg.trainer.max_epochs) == chosen


def test_the_articles_set_up_is_one_word(compose: Compose) -> None:
    cfg = settle(compose("experiment=article", "trainer=cpu"))
    data = build_data(cfg)
    model = build_model(cfg, data)

    widths = [tuple(weight.shape) for _, weight in model.net.weights()]
    assert widths == [(64, 784), (32, 64), (32, 32), (32, 32), (64, 32), (784, 64)]
    assert isinstance(model.net.output_activation, nn.Sigmoid)
    assert isinstance(model.net.code_activation, nn.Identity)
    assert {type(layer) for layer in model.net.activations().values()} == {nn.ReLU}
    assert data.spec.normalised_range == (0.0, 1.0)
    assert data.batch_size == 32
    optimizer = model.current_optimizer()
    assert type(optimizer).__name__ == "Adam"
    assert [model.schedule(step, 100) for step in (0, 50, 99)] == [1.0, 1.0, 1.0]
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_the_deep_autoencoder_of_the_literature_is_one_word(compose: Compose) -> None:
    cfg = settle(compose("experiment=deep_mnist", "trainer=cpu", "data=random"))
    model = build_model(cfg, build_data(cfg))

    widths = [weight.shape[0] for _, weight in model.net.weights()]
    assert widths == [1000, 500, 250, 30, 250, 500, 1000, 784]
    assert isinstance(model.net.output_activation, nn.Sigmoid)
    assert isinstance(model.net.code_activation, nn.Identity)
    assert {type(layer) for layer in model.net.activations().values()} == {nn.SiLU}
    assert compose("experiment=deep_mnist").data.name == "mnist"
