"""Generative runs are resumed where they stopped, and open to the same codes at every call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

import activae
from activae.config.settling import settle
from activae.objectives import total
from activae.results.run import train
from activae.training.assembly import build_data, build_model

CONFIGS = Path(__file__).parents[2] / "configs"
Compose = Callable[..., DictConfig]
Weights = Callable[..., Tensor]
QUIET = ("trainer=cpu", "trainer.max_steps=6", "logger=minimal", "logger.progress_bar=false")


@pytest.mark.parametrize("name", ["vae", "vq_vae", "aae"])
def test_a_resumed_run_is_the_uninterrupted_one(
    name: str,
    compose: Compose,
    interrupt: Callable[[DictConfig, Path, int], None],
    tmp_path: Path,
) -> None:
    cfg = compose(f"experiment={name}", "data.source.binarise=dynamic", *QUIET)
    whole = train(cfg, tmp_path / "whole")
    interrupt(cfg, tmp_path / "parts", 3)

    parts = train(cfg, tmp_path / "parts")

    assert parts["test"] == whole["test"]
    x = torch.rand(5, 1, 8, 8) * 16
    first, second = (activae.load(tmp_path / folder) for folder in ("whole", "parts"))
    assert torch.as_tensor(first.encode(x)).equal(torch.as_tensor(second.encode(x)))
    assert torch.as_tensor(first.reconstruct(x)).equal(torch.as_tensor(first.reconstruct(x)))


# -- knobs: what each of the yaml files offers acts on the weights, or is left out whole


@pytest.fixture(scope="module")
def weights(compose: Compose) -> Weights:
    """`weights(experiment, *changes)`: the network's after a few steps on digits."""
    data = build_data(settle(compose("trainer=cpu", "data.source.binarise=static")))

    @cache
    def base(options: str) -> DictConfig:
        small = ("encoder.hidden=[8]", "decoder.hidden=[8]", "trainer=cpu")
        return compose(*options.split(), "data.source.binarise=static", *small)

    @cache
    def after(options: str, *changes: str) -> Tensor:
        cfg = base(options).copy()
        cfg.merge_with_dotlist([*changes])
        model = build_model(settle(cfg), data)
        take = model.eager_step(model.current_optimizer())
        for x in data.batches(0, 4):
            take(model.training_batch(x, model.step), 1.0, *model.varying_strengths())
            model.step += 1
        trained = {k: v for k, v in model.net.named_parameters() if not k.startswith("latent")}
        return nn.utils.parameters_to_vector(trained.values()).detach()

    return after


KNOBS = {
    "experiment=vae": [
        *("regulariser.kl.beta=2", "regulariser.kl.warmup=3", "regulariser.kl.sampled=true"),
        "regulariser.kl.free_bits=0.5",
    ],
    "experiment=vae regulariser=[kl,tc]": ["regulariser.tc.weight=1"],
    "experiment=wae": ["regulariser.mmd.weight=1"],
    "regulariser=rae_l2": ["regulariser.rae_l2.weight=1", "regulariser.rae_l2.decoder=1"],
    "regulariser=rae_gp": ["regulariser.rae_gp.weight=1", "regulariser.rae_gp.decoder=1"],
    "regulariser=rae_sn": ["regulariser.rae_sn.weight=1", "regulariser.rae_sn.decoder=1"],
    "latent=spherical": ["latent.noise=0.3"],
    "experiment=vq_vae": [
        *("latent.words=16", "latent.parts=2", "latent.decay=0.5", "latent.decay=null"),
        "regulariser.commitment.weight=1",
    ],
    "experiment=aae": [
        *("regulariser.adversarial.weight=1", "regulariser.adversarial.hidden=[8]"),
        "regulariser.adversarial.lr=0.1",
    ],
    "experiment=iwae objective.samples=2": ["objective.samples=3"],
}


@pytest.mark.parametrize(
    ("options", "change"), [(options, each) for options, all_ in KNOBS.items() for each in all_]
)
def test_every_knob_changes_the_weights(options: str, change: str, weights: Weights) -> None:
    assert not torch.equal(weights(options, change), weights(options))


@pytest.mark.parametrize(
    ("options", "change", "simpler"),
    [
        ("experiment=vae", "regulariser.kl.beta=0", "experiment=vae regulariser=none"),
        ("experiment=vae regulariser=[kl,tc]", "regulariser.tc.weight=0", "experiment=vae"),
        ("experiment=wae", "regulariser.mmd.weight=0", ""),
        ("regulariser=rae_l2", "regulariser.rae_l2.weight=0", ""),
        ("regulariser=rae_gp", "regulariser.rae_gp.weight=0", ""),
        ("regulariser=rae_sn", "regulariser.rae_sn.weight=0", ""),
        ("experiment=aae", "regulariser.adversarial.weight=0", ""),
        (
            "experiment=vq_vae",
            "regulariser.commitment.weight=0",
            "experiment=vq_vae regulariser=none",
        ),
    ],
)
def test_a_weight_of_0_is_the_run_without_it_bit_for_bit(
    options: str, change: str, simpler: str, weights: Weights
) -> None:
    assert torch.equal(weights(options, change), weights(simpler))


def test_the_options_of_a_yaml_are_all_among_these_knobs() -> None:
    known = {change.partition("=")[0] for changes in KNOBS.values() for change in changes}
    for name in ("kl", "tc", "mmd", "rae_l2", "rae_gp", "rae_sn", "commitment", "adversarial"):
        node = OmegaConf.load(CONFIGS / f"regulariser/{name}.yaml")[name]
        assert {f"regulariser.{name}.{key}" for key in node if key != "_target_"} <= known, name
    for name in ("gaussian", "spherical", "vq"):
        options = {key for key in OmegaConf.load(CONFIGS / f"latent/{name}.yaml") if key[0] != "_"}
        assert {f"latent.{key}" for key in options} <= known, name


def test_a_warm_up_that_has_ended_is_none_bit_for_bit(compose: Compose) -> None:
    found = []
    for warmup in (0, 3):
        cfg = settle(compose("experiment=vae", f"regulariser.kl.warmup={warmup}", "trainer=cpu"))
        model = build_model(cfg, data := build_data(cfg))
        model.step = 3
        total(model.terms_of(model.training_batch(data.samples["train"][:8], 3))).backward()
        found.append([p.grad for p in model.net.parameters()])

    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
