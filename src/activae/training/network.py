"""The network that a config and a DataSpec describe: encoder, decoder, last layer, first weights.

Needs no data, no Lightning and no Hydra: a finished run's network is built by the same functions
(`activae.training.restoring`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import isfinite
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.activations import output_range, values_per_unit
from activae.config.instantiating import build, call, label, locate
from activae.config.settling import container
from activae.data.spec import DataSpec
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.models.building import output_of_range
from activae.models.counts import TotalSharingHead
from activae.models.latent import Latent
from activae.objectives import Demand, Objective
from activae.objectives.losses import plain
from activae.randomness import generator

# A bounded output whose interval is more than this many times the data's wastes its range on values
# that never occur: tanh for data in [0, 1].
WIDEST_OUTPUT = 1.5
DEFAULT = "data in [0, 1] then get a sigmoid, others a linear output"


def build_network(cfg: DictConfig, spec: DataSpec) -> Autoencoder:
    """Encoder and decoder for the data's shape, joined, and checked against its range.

    The weights are torch's own draws: `initialise` or a checkpoint gives them their values. Raises
    ConfigError where the parts do not fit each other, the data or the objective.
    """
    check_activation(cfg.activation, "activation")
    for half in ("encoder", "decoder"):
        check_activation(cfg[half].get("activation"), f"{half}.activation")
    objective = build(container(cfg.objective), "objective")
    demand, dim = demand_of(objective), cfg.encoding.dim
    latent = latent_of(cfg)
    encoded = dim if latent is None or latent.inputs is None else latent.inputs
    encoder = call(build(container(cfg.encoder), "encoder"), "encoder", spec.shape, encoded)
    decoded = (demand.outputs * spec.shape[0], *spec.shape[1:])
    decoder = call(build(container(cfg.decoder), "decoder"), "decoder", dim, decoded)
    return Autoencoder(
        encoder,
        decoder,
        shape=spec.shape,
        code_activation=code_activation(cfg),
        output_activation=output_activation(cfg, spec, objective),
        input_transform=demand.reads and demand.reads(),
        latent=latent,
    )


def initialise(cfg: DictConfig, net: Autoencoder, samples: Callable[[], Tensor]) -> None:
    """Give the network its first weights, in place.

    samples: makes training samples [B, *shape], for an init that looks at data.
    """
    init = build(container(cfg.init), "init")
    looks = "samples" in inspect.signature(init).parameters
    call(init, "init", net, seed=cfg.seed, **({"samples": samples()} if looks else {}))
    if net.latent is not None:
        net.eval()
        with torch.no_grad():
            encoded = net.encoded(samples())
        net.train()
        net.latent.start(encoded, generator(cfg.seed, "weights", "latent"))


def latent_of(cfg: DictConfig) -> Latent | None:
    """What stands between encoder and decoder; None where the code is the encoder's.

    Raises ConfigError for a code activation where the latent has the code's last word.
    """
    node = container(cfg.get("latent"))
    if node is None:
        return None
    latent = call(build(node, "latent"), "latent", cfg.encoding.dim)
    if latent is None:
        return None
    if not isinstance(latent, Latent):
        raise ConfigError(
            f"latent._target_={node['_target_']}: makes a {type(latent).__name__}, not an "
            "activae.models.latent.Latent"
        )
    if cfg.encoding.activation is not None and latent.kind in ("gaussian", "spherical"):
        raise ConfigError(
            f"encoding.activation={label(cfg.encoding.activation)}: latent={latent.kind} says what "
            "a code is, so that it has no activation (regulariser=kl_sparse sets one); leave it "
            "out, or choose latent=deterministic"
        )
    return latent


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
    activation: nn.Module = call(build(container(node), key), key)
    if not path.startswith(("torch.", "activae.")) and writes_into_input(activation):
        raise ConfigError(
            f"{key}._target_={path}: writes into its input, which a residual block's shortcut, for "
            "one, needs as it was; write it without operations in place, such as relu_ or +="
        )


@torch.no_grad()
def writes_into_input(activation: nn.Module) -> bool:
    """Whether numbers that go through a module come out changed themselves."""
    x = torch.linspace(-3.1, 2.9, 24).reshape(4, 6)  # of a width that gated ones divide
    given = x.clone()
    if getattr(activation, "inplace", False) is True:
        activation.inplace = False  # type: ignore[assignment]  # as an `Autoencoder` has it
    with torch.random.fork_rng(devices=[]):
        try:
            activation(given)
        except Exception:  # what it takes is for the network to find out
            return False
    return not torch.equal(given, x)


def output_activation(cfg: DictConfig, spec: DataSpec, objective: Objective) -> nn.Module:
    """The chosen output activation, or that of the objective, or that of the data's range.

    Raises ConfigError if it does not fit the data's range.
    """
    demand, loss = demand_of(objective), _name_of(objective)
    _check_data(cfg, spec, demand, loss)
    asked = demand.output(spec.shape) if demand.output else None
    factory = build(container(cfg.output.activation), "output.activation")
    chosen = factory and call(factory, "output.activation")
    if chosen is not None:
        refuse_unless_elementwise(chosen, "output.activation", label(cfg.output.activation))
    activation: nn.Module = chosen or asked or output_of_range(spec.normalised_range)
    name = label(cfg.output.activation) if factory else type(activation).__name__
    if asked and type(activation) is not type(asked):
        raise ConfigError(
            f"output.activation={name}: objective={loss} takes the output for "
            f"{demand.takes_output_for}; leave output.activation out, or choose another objective"
        )
    if not isinstance(activation, TotalSharingHead):
        check_output_range(name, activation, spec.normalised_range)
    return activation


def demand_of(objective: Any) -> Demand:
    """What an objective asks of data and network; one of the user's own need not say."""
    demand: Demand = getattr(objective, "demand", Demand())
    return demand


def _name_of(objective: Any) -> str:
    loss = plain(getattr(objective, "reconstruction", objective))
    return str(getattr(loss, "__name__", type(loss).__name__))


def _check_data(cfg: DictConfig, spec: DataSpec, demand: Demand, loss: str) -> None:
    """Raise ConfigError where the normalised data are not what the objective is defined for."""
    low, high = spec.normalised_range
    bounds = f"in [{demand.least:g}, {demand.most:g}]" if isfinite(demand.most) else "of 0 or more"
    if not demand.least - 1e-3 <= low < high <= demand.most + 1e-3:
        raise ConfigError(
            f"objective={loss}: needs data {bounds}, and with data.normalisation="
            f"{cfg.data.normalisation} they lie in [{low:.4g}, {high:.4g}]; set "
            f"data.normalisation={demand.normalisation}, or choose another objective"
        )
    if demand.counts and not spec.whole_counts:
        raise ConfigError(
            f"objective={loss}: needs counts, whole numbers of 0 or more, and these are not (with "
            f"data.normalisation={cfg.data.normalisation}); set "
            f"data.normalisation={demand.normalisation} and, where the data have that choice, "
            "data.source.counts=true, or choose another objective"
        )


def refuse_unless_elementwise(activation: nn.Module, key: str, name: str) -> None:
    """Raise ConfigError for an activation that changes the width, which data and code fix."""
    inputs, outputs = values_per_unit(activation)
    if (inputs, outputs) != (1, 1):
        raise ConfigError(
            f"{key}={name}: makes {outputs} of every {inputs} values, and the width is fixed here; "
            "such an activation goes into hidden layers (activation=NAME), an elementwise one here"
        )


def check_output_range(name: str, activation: nn.Module, data_range: tuple[float, float]) -> None:
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
            f"output.activation={name}: cannot reach the data: {shown}; leave it out: "
            f"{DEFAULT}{_better_normalisation(bottom, top)}"
        )
    if isfinite(low) and isfinite(high) and high - low > WIDEST_OUTPUT * (top - bottom):
        raise ConfigError(
            f"output.activation={name}: does not fit the data: {shown}; leave it out: {DEFAULT}"
        )


def _better_normalisation(bottom: float, top: float) -> str:
    return "" if (bottom, top) == (0.0, 1.0) else ", or set data.normalisation=unit_range"
