"""Why an activation does well or badly, in figures of one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from activae.activations.analysis import moments
from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives import total
from activae.results.diagnostics import (
    LayerStatistics,
    activation_statistics,
    effective_rank,
    gradient_norms,
)
from activae.results.evaluation import finite
from activae.training.module import AutoencoderModule
from activae.training.shared import Shared
from activae.training.watching import figures_of

PROBE_SAMPLES = 256


@dataclass(frozen=True)
class Diagnosis:
    """What a network in evaluation mode does with the first samples of the validation split.

    codes [n, code_dim] and their effective rank; by layer, the norm of the loss's gradient, and
    what the activation does with its inputs.
    """

    codes: Tensor
    effective_rank: float
    gradient_norm: dict[str, float]
    activations: dict[str, LayerStatistics]


def diagnose(model: AutoencoderModule) -> Diagnosis:
    """Describe the network as it is; no gradient is left, and the mode is evaluation."""
    net: Autoencoder = model.net.eval()
    probe = model.data.samples["val"][:PROBE_SAMPLES]
    with torch.no_grad():
        codes = net.encode(probe)
    return Diagnosis(
        codes,
        effective_rank(codes),
        gradient_norms(net.named_parameters(), total(model.terms(probe))),
        activation_statistics(net.activations(), lambda: net(probe)),
    )


def figures(model: AutoencoderModule, shared: Shared) -> dict[str, Any]:
    """The diagnosis as plain numbers by layer, and each activation's chi_1; None: not finite."""
    model.current_optimizer()  # what trains is what trained last, also in a run that is resumed
    found = diagnose(model)
    layers = found.activations.items()
    return {
        "effective_rank": finite(found.effective_rank),
        "dead": {name: layer.dead_fraction for name, layer in layers},
        "saturated": {name: layer.saturated_fraction for name, layer in layers},
        "gradient_norm": {name: finite(norm) for name, norm in found.gradient_norm.items()},
        "chi_1": {
            name: _chi_1(activation, shared.once)
            for name, activation in model.net.activations().items()
        },
        **{
            name: {key: finite(value) for key, value in each.items()}
            for name, each in figures_of(model).items()
        },
    }


def _chi_1(activation: nn.Module, once: Callable[..., float | None]) -> float | None:
    """That of `moments`, or None; found once a process for activations that do not learn."""

    def found() -> float | None:
        try:
            return moments(activation).chi_1
        except ConfigError:
            return None

    key = ("chi_1", type(activation), repr(activation))
    return found() if activation.state_dict() else once(key, found)
