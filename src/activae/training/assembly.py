"""From a settled config to the objects of a run: DataModule, network, LightningModule."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.config.instantiating import build, call, label, locate
from activae.config.settling import container
from activae.data.module import AutoencoderDataModule
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives import Objective
from activae.objectives.batch import Noise
from activae.objectives.corruptions import corrupts
from activae.objectives.declared import Draw
from activae.objectives.regularisers import Regulariser, draws_of, with_declared
from activae.randomness import generator
from activae.training.compiled_step import Graph
from activae.training.module import AutoencoderModule
from activae.training.optimizers import make_optimizer
from activae.training.output_layer import demand_of, output_activation, refuse_unless_elementwise
from activae.training.schedules import make_schedule

log = logging.getLogger(__name__)


INIT_SAMPLES = 1024


def build_data(cfg: DictConfig) -> AutoencoderDataModule:
    """The DataModule, set up: loaded, split, normalised."""
    data = AutoencoderDataModule(
        build(container(cfg.data.source), "data.source"),
        batch_size=cfg.data.batch_size,
        normalisation=cfg.data.normalisation,
        val_fraction=cfg.data.val_fraction,
        test_fraction=cfg.data.test_fraction,
        train_fraction=cfg.data.train_fraction,
        split_seed=cfg.data.split_seed,
        seed=cfg.seed,
    )
    call(data.setup, "data.source")
    return data


def describe_data(data: AutoencoderDataModule) -> None:
    """Log what the data are, and what their source has to say of them."""
    sizes = ", ".join(f"{len(samples)} {stage}" for stage, samples in data.samples.items())
    log.info("data   %s: %s samples of shape %s", data.source.name, sizes, data.shape)
    if data.source.note:
        log.warning("note   %s", data.source.note)


def build_model(
    cfg: DictConfig, data: AutoencoderDataModule, graph: Graph | None = None
) -> AutoencoderModule:
    """The LightningModule around a freshly initialised network; `graph` may be shared."""
    objective = build(container(cfg.objective), "objective")
    net = build_network(cfg, data, objective)
    regularisers = build_regularisers(cfg, net)
    draws = draws_of(objective, net, regularisers)
    noise = build_noise(cfg, data, draws)
    check_batches(net, data)
    optimizer = build(container(cfg.optimizer), "optimizer")
    schedule = call(make_schedule, "scheduler", build(container(cfg.scheduler), "scheduler"))
    whole_epochs = cfg.trainer.max_epochs * data.steps_per_epoch
    total_steps = min(whole_epochs, cfg.trainer.max_steps or whole_epochs)
    call(
        schedule, "scheduler", 0, total_steps
    )  # refuses its parameters now, not after the first step
    call(make_optimizer, "optimizer", optimizer, net)
    phases = None
    if cfg.phases is not None:
        phases = call(build(container(cfg.phases), "phases"), "phases", net, total_steps)
    if cfg.encoding.dim >= prod(data.shape):
        log.warning(
            "note   encoding.dim=%d is no smaller than the %d values of a sample: a code that need "
            "not compress can copy its input; choose a smaller one, or penalise it (regulariser, "
            "corruption)",
            cfg.encoding.dim,
            prod(data.shape),
        )
    log.info(
        "model  %s, code %d, %s; %s; %s parameters",
        label(cfg.encoder),
        cfg.encoding.dim,
        label(cfg.decoder),
        label(cfg.activation),
        f"{sum(p.numel() for p in net.parameters()):,}",
    )
    return AutoencoderModule(
        net,
        with_declared(objective, net, regularisers, noise is not None),
        data.normalisation,
        optimizer=partial(make_optimizer, optimizer),
        schedule=schedule,
        total_steps=total_steps,
        clip_norm=cfg.trainer.gradient_clip_val,
        graph=graph or (Graph() if cfg.trainer.compile else None),
        noise=noise,
        phases=phases,
    )


def build_regularisers(cfg: DictConfig, net: Autoencoder) -> dict[str, Regulariser]:
    """Those of the config that have a weight, by name. Raises ConfigError for others than ours."""
    built = {}
    for name, node in container(cfg.regulariser).items():
        regulariser = build(node, f"regulariser.{name}")
        if not isinstance(regulariser, Regulariser):
            raise ConfigError(
                f"regulariser.{name}._target_={node.get('_target_')}: makes a "
                f"{type(regulariser).__name__}, not an activae.objectives.regularisers.Regulariser"
            )
        regulariser.check(net)
        if regulariser.weight:
            built[str(name)] = regulariser
    return built


def build_noise(
    cfg: DictConfig, data: AutoencoderDataModule, draws: dict[str, Draw]
) -> Noise | None:
    """What draws the random numbers that the run's steps need; None where they need none."""
    corrupt = None
    if corrupts(cfg.corruption):
        low, high = data.normalisation.target_range.tolist()
        factory = build(container(cfg.corruption), "corruption")
        corrupt = partial(factory, value_range=(low, high))
        # Refuses its parameters now, not at the first step.
        call(corrupt, "corruption", torch.zeros(1, *data.shape), noise=torch.Generator())
    return Noise(cfg.seed, corrupt, draws, cfg.encoding.dim) if corrupt or draws else None


def check_batches(net: Autoencoder, data: AutoencoderDataModule) -> None:
    """Raise ConfigError where batch normalisation would meet a batch of one sample."""
    size, samples = data.batch_size, len(data.samples["train"])
    normalises = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in net.modules())
    if normalises and 1 in (size, samples % size):
        raise ConfigError(
            f"data.batch_size={size}: leaves a batch of one of the {samples} training samples, "
            "which cannot be normalised by its own mean and variance; choose another batch size, "
            "or normalisation=layer"
        )


def build_network(
    cfg: DictConfig, data: AutoencoderDataModule, objective: Objective
) -> Autoencoder:
    """Encoder and decoder for the data's shape, joined, checked against its range, initialised."""
    check_activation(cfg.activation, "activation")
    for half in ("encoder", "decoder"):
        check_activation(cfg[half].get("activation"), f"{half}.activation")
    dim = cfg.encoding.dim
    encoder = call(build(container(cfg.encoder), "encoder"), "encoder", data.shape, dim)
    demand = demand_of(objective)
    decoded = (demand.outputs * data.shape[0], *data.shape[1:])
    decoder = call(build(container(cfg.decoder), "decoder"), "decoder", dim, decoded)
    net = Autoencoder(
        encoder,
        decoder,
        shape=data.shape,
        code_activation=code_activation(cfg),
        output_activation=output_activation(cfg, data, objective),
        input_transform=demand.reads and demand.reads(),
    )
    init = build(container(cfg.init), "init")
    needs = {"samples": init_samples(cfg.seed, data, net)} if _takes(init, "samples") else {}
    call(init, "init", net, seed=cfg.seed, **needs)
    return net


def init_samples(seed: int, data: AutoencoderDataModule, net: Autoencoder) -> Tensor:
    """Training samples [B, *shape] for an init that looks at data, beside the network.

    At most INIT_SAMPLES, which depend on seed and split alone.
    """
    samples = data.samples["train"]
    noise = generator(seed, "init samples")
    rows = torch.randint(len(samples), (INIT_SAMPLES,), generator=noise).unique()
    return samples[rows.to(samples.device)].to(next(net.parameters()))


def _takes(init: Callable[..., None], parameter: str) -> bool:
    return parameter in inspect.signature(init).parameters


def code_activation(cfg: DictConfig) -> nn.Module | None:
    """The chosen activation of the code, None where it is linear."""
    factory = build(container(cfg.encoding.activation), "encoding.activation")
    if factory is None:
        return None
    activation: nn.Module = call(factory, "encoding.activation")
    refuse_unless_elementwise(activation, "encoding.activation", label(cfg.encoding.activation))
    return activation


def check_activation(node: Any, key: str) -> None:
    """Raise ConfigError unless the node makes a module; a mere function is a likely mistake."""
    if node is None:
        return
    path = node["_target_"]
    target = locate(path, f"{key}._target_")
    if not (isinstance(target, type) and issubclass(target, nn.Module)):
        raise ConfigError(
            f"{key}._target_={path}: is no torch.nn.Module class; a function goes into "
            f"activation=custom activation.function={path}"
        )
    call(build(container(node), key), key)
