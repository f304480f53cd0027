"""From a settled config to the objects of a run: DataModule, network, LightningModule."""

from __future__ import annotations

import logging
from functools import partial
from math import isfinite
from typing import Any

from omegaconf import DictConfig
from torch import nn

from activae.activations import output_range
from activae.build import build, call, label, locate
from activae.compiled_step import Graph
from activae.config import container
from activae.data.module import AutoencoderDataModule
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.models.autoencoder import AutoencoderModule
from activae.models.counts import TotalSharingHead
from activae.objectives import Demand, Objective
from activae.objectives.demand import plain
from activae.optimizers import make_optimizer

log = logging.getLogger(__name__)

# A bounded output whose interval is more than this many times the data's wastes its range on values
# that never occur: tanh for data in [0, 1].
WIDEST_OUTPUT = 1.5


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
    optimizer = build(container(cfg.optimizer), "optimizer")
    schedule = build(container(cfg.scheduler), "scheduler")
    whole_epochs = cfg.trainer.max_epochs * data.steps_per_epoch
    total_steps = min(whole_epochs, cfg.trainer.max_steps or whole_epochs)
    call(
        schedule, "scheduler", 0, total_steps
    )  # refuses its parameters now, not after the first step
    call(make_optimizer, "optimizer", optimizer, net)
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
        objective,
        data.normalisation,
        optimizer=partial(make_optimizer, optimizer),
        schedule=schedule,
        total_steps=total_steps,
        clip_norm=cfg.trainer.gradient_clip_val,
        graph=graph or (Graph() if cfg.trainer.compile else None),
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
    code = build(container(cfg.encoding.activation), "encoding.activation")
    net = Autoencoder(
        encoder,
        decoder,
        shape=data.shape,
        code_activation=code and call(code, "encoding.activation"),
        output_activation=output_activation(cfg, data, objective),
        input_transform=demand.reads and demand.reads(),
    )
    call(build(container(cfg.init), "init"), "init", net, seed=cfg.seed)
    return net


def output_activation(
    cfg: DictConfig, data: AutoencoderDataModule, objective: Objective
) -> nn.Module:
    """The chosen output activation, or the one the objective needs.

    Raises ConfigError if it does not fit the data's range.
    """
    demand, loss = demand_of(objective), _name_of(objective)
    _check_data(cfg, data, demand, loss)
    asked = demand.output(data.shape) if demand.output else None
    factory = build(container(cfg.output.activation), "output.activation")
    chosen = factory and call(factory, "output.activation")
    activation: nn.Module = chosen or asked or nn.Identity()
    name = label(cfg.output.activation) if factory else type(activation).__name__
    if asked and type(activation) is not type(asked):
        raise ConfigError(
            f"output.activation={name}: objective={loss} takes the output for "
            f"{demand.takes_output_for}; leave output.activation out, or choose another objective"
        )
    if not isinstance(activation, TotalSharingHead):
        check_output_range(name, activation, data.normalisation.target_range.tolist())
    return activation


def demand_of(objective: Any) -> Demand:
    """What an objective asks of data and network; one of the user's own need not say."""
    demand: Demand = getattr(objective, "demand", Demand())
    return demand


def _name_of(objective: Any) -> str:
    loss = plain(getattr(objective, "reconstruction", objective))
    return str(getattr(loss, "__name__", type(loss).__name__))


def _check_data(cfg: DictConfig, data: AutoencoderDataModule, demand: Demand, loss: str) -> None:
    """Raise ConfigError where the normalised data are not what the objective is defined for."""
    low, high = data.normalisation.target_range.tolist()
    bounds = f"in [{demand.least:g}, {demand.most:g}]" if isfinite(demand.most) else "of 0 or more"
    if not demand.least - 1e-3 <= low < high <= demand.most + 1e-3:
        raise ConfigError(
            f"objective={loss}: needs data {bounds}, and with data.normalisation="
            f"{cfg.data.normalisation} they lie in [{low:.4g}, {high:.4g}]; set "
            f"data.normalisation={demand.normalisation}, or choose another objective"
        )
    if demand.counts and not data.holds_counts():
        raise ConfigError(
            f"objective={loss}: needs counts, whole numbers of 0 or more, and these are not (with "
            f"data.normalisation={cfg.data.normalisation}); set "
            f"data.normalisation={demand.normalisation} and, where the data have that choice, "
            "data.source.counts=true, or choose another objective"
        )


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


def check_output_range(name: str, activation: nn.Module, data_range: list[float]) -> None:
    """Raise ConfigError where the outputs cannot reach the data, or reach far beyond them."""
    low, high = output_range(activation)
    bottom, top = data_range
    slack = 1e-3 * (top - bottom)
    shown = (
        f"the outputs of {name} lie in [{low:.4g}, {high:.4g}], "
        f"the data in [{bottom:.4g}, {top:.4g}]"
    )
    if low > bottom + slack or high < top - slack:
        raise ConfigError(
            f"output.activation={name}: cannot reach the data: {shown}; leave it out for a linear "
            f"output{_better_normalisation(bottom, top)}"
        )
    if isfinite(low) and isfinite(high) and high - low > WIDEST_OUTPUT * (top - bottom):
        raise ConfigError(
            f"output.activation={name}: does not fit the data: {shown}; leave it out for a linear "
            "output, or use activation@output.activation=sigmoid for data in [0, 1]"
        )


def _better_normalisation(bottom: float, top: float) -> str:
    return "" if (bottom, top) == (0.0, 1.0) else ", or set data.normalisation=unit_range"
