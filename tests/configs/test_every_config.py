"""Every option of every group composes, is accepted, builds and takes a step; found by a glob."""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from activae import activations
from activae.config.settling import settle
from activae.errors import ConfigError
from activae.randomness import batch_order
from activae.results.run import train
from activae.training.assembly import build_data, build_model
from activae.training.eager_step import EagerStep

Compose = Callable[..., DictConfig]

CONFIGS = Path(__file__).parents[2] / "configs"
OPTIONS = sorted((path.parent.name, path.stem) for path in CONFIGS.glob("*/*.yaml"))
ACTIVATIONS = [name for group, name in OPTIONS if group == "activation"]
# What a group's options mean is seen in a fit, not in a step.
FITTED = ("trainer", "logger")
QUICK = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.batch_size=16",
    "trainer.max_epochs=1",
)
VECTORS = ("data=random", "data.source.samples=60", "data.source.features=16")


def is_elementwise(name: str) -> bool:
    """Whether an activation has one input and one output for each unit."""
    node = OmegaConf.load(CONFIGS / "activation" / f"{name}.yaml")
    for key in OmegaConf.missing_keys(node):
        OmegaConf.update(node, key, "torch.nn.functional.gelu")
    return activations.is_elementwise(instantiate(node)())


def options(*, fitted: bool) -> list[Any]:
    return [
        pytest.param(group, name, id=f"{group}={name}")
        for group, name in OPTIONS
        if group != "activation" and (group in FITTED) == fitted
    ]


def take_a_step(cfg: DictConfig) -> None:
    """Settle, build and train on one batch: the loss is finite and the network learns."""
    cfg = settle(cfg)
    data = build_data(cfg)
    model = build_model(cfg, data)
    optimizer = model.current_optimizer()
    before = {name: p.detach().clone() for name, p in model.net.named_parameters()}
    indices = batch_order(cfg.seed, 0, len(data.samples["train"]))[: cfg.data.batch_size]

    step = EagerStep(model.net, model.objective, optimizer, model.clipping)
    batch = model.training_batch(data.samples["train"][indices], 0)
    terms = step(batch, model.schedule(0, model.total_steps))

    assert all(term.isfinite() for term in terms.values())
    after = dict(model.net.named_parameters())
    assert all(parameter.isfinite().all() for parameter in after.values())
    # Not all of them: what shrinks its input lets little through the first layers at the start.
    assert any(not parameter.equal(before[name]) for name, parameter in after.items())


@pytest.mark.parametrize(("group", "name"), options(fitted=False))
def test_an_option_takes_a_step(
    group: str,
    name: str,
    compose: Compose,
    mandatory: Callable[[str, str], list[str]],
) -> None:
    take_a_step(compose(f"{group}={name}", *mandatory(group, name), *QUICK))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_takes_a_step_in_both_halves_and_the_code(
    name: str, compose: Compose, mandatory: Callable[[str, str], list[str]]
) -> None:
    places = ["activation", "decoder.activation"]
    if is_elementwise(name):  # the width of the code is fixed
        places.append("encoding.activation")
    chosen = [f"activation={name}", *(f"activation@{place}={name}" for place in places[1:])]
    function = [
        override.replace("activation.", f"{place}.", 1)
        for place in places
        for override in mandatory("activation", name)
    ]

    take_a_step(compose(*chosen, *function, *QUICK, *VECTORS))


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if not is_elementwise(name)])
def test_an_activation_that_changes_the_width_is_refused_in_the_code(
    name: str, compose: Compose
) -> None:
    with pytest.raises(ConfigError, match=r"encoding\.activation=.*the width is fixed here"):
        take_a_step(compose(f"activation@encoding.activation={name}", *QUICK, *VECTORS))


@pytest.fixture(scope="module")
def base(compose: Compose) -> DictConfig:
    return compose(*QUICK, *VECTORS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_takes_a_step_at_the_output_or_is_refused(
    name: str, base: DictConfig
) -> None:
    cfg = copy.deepcopy(base)
    node = OmegaConf.load(CONFIGS / "activation" / f"{name}.yaml")
    for key in OmegaConf.missing_keys(node):
        OmegaConf.update(node, key, "torch.nn.functional.gelu")
    cfg.output.activation = node

    refusal = ""
    try:
        take_a_step(cfg)
    except ConfigError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith("output.activation=")


@pytest.mark.parametrize(("group", "name"), options(fitted=True))
def test_an_option_of_fitting_fits(group: str, name: str, compose: Compose, tmp_path: Path) -> None:
    others = [o for o in QUICK if not o.startswith(f"{group}=")]
    cfg = compose(f"{group}={name}", *others, "trainer.max_steps=2")
    if cfg.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"trainer\.accelerator=gpu"):
            train(cfg, tmp_path)
        return

    metrics = train(cfg, tmp_path)

    assert metrics["steps"] == 2
    assert isfinite(metrics["test"]["SE"])
