"""Autoencoders in one call: those that train.py makes of the same choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from activae import conv_autoencoder, mlp_autoencoder
from activae.config.settling import settle
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.training.assembly import build_data, build_model

CHOICES: dict[str, tuple[Callable[..., Autoencoder], tuple[str, ...], dict[str, Any]]] = {
    "mlp": (mlp_autoencoder, ("activation=gelu", "seed=3"), {"activation": "gelu", "seed": 3}),
    "linear output": (mlp_autoencoder, ("data.normalisation=standardise",), {}),
    "widths": (
        mlp_autoencoder,
        ("encoder.hidden=[20]", "decoder.hidden=[20]", "activation=tanh"),
        {"hidden": (20,), "activation": nn.Tanh},
    ),
    "conv": (conv_autoencoder, ("encoder=conv", "decoder=conv"), {}),
}


@pytest.mark.parametrize("name", CHOICES)
def test_it_is_the_network_of_the_run(name: str, compose: Callable[..., DictConfig]) -> None:
    build, overrides, chosen = CHOICES[name]
    cfg = settle(compose("trainer=cpu", *overrides))
    data = build_data(cfg)

    found, wanted = build(data.spec, 8, **chosen), build_model(cfg, data).net

    assert str(found) == str(wanted)
    assert all(map(torch.equal, found.state_dict().values(), wanted.state_dict().values()))


def test_an_unknown_activation_is_named(compose: Callable[..., DictConfig]) -> None:
    data = build_data(settle(compose("trainer=cpu")))

    with pytest.raises(ConfigError, match="activation='gleu'"):
        mlp_autoencoder(data.spec, 8, activation="gleu")
