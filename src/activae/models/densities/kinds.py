"""The fits of a density to codes that `sampler=` chooses from, and densities from their parts.

A fit is a function of codes [N, d], a seed and settings of its own; it returns the density and
notes on what is doubtful. Each raises UserError for codes that it cannot be fitted to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from activae.errors import ConfigError, UserError
from activae.models.autoencoder import Autoencoder
from activae.models.counts import TotalSharingHead
from activae.models.densities import mixtures
from activae.models.densities.density import Density
from activae.models.densities.flow import Flow, fit_flow
from activae.models.densities.mixtures import Mixture
from activae.models.densities.second_stage import SecondStage, fit_second_stage
from activae.randomness import generator

MOST_CODES = 50_000  # that a density is fitted to

Fitted = tuple[Density, list[str]]
Fit = Callable[..., Fitted]


def none(codes: Tensor, *, seed: int) -> Fitted:
    """No sampler: nothing is fitted."""
    raise UserError("sampler=none: fits nothing")


def gmm(codes: Tensor, *, seed: int, components: int | None = mixtures.COMPONENTS) -> Fitted:
    """See `mixtures.gaussian_mixture`."""
    return mixtures.gaussian_mixture(codes, components, seed)


def gaussian(codes: Tensor, *, seed: int) -> Fitted:
    """See `mixtures.gaussian`."""
    return mixtures.gaussian(codes), []


def kde(codes: Tensor, *, seed: int) -> Fitted:
    """See `mixtures.kernel_density`."""
    return mixtures.kernel_density(codes, generator(seed, "kernels")), []


def prior(codes: Tensor, *, seed: int) -> Fitted:
    """What the codes were trained towards: the standard normal distribution."""
    return mixtures.standard(codes.shape[1]), []


def flow(
    codes: Tensor,
    *,
    seed: int,
    family: Literal["maf", "nsf"] = "maf",
    transforms: int = 4,
    hidden: Sequence[int] = (64, 64),
) -> Fitted:
    """See `flow.fit_flow`."""
    return fit_flow(codes, seed, family, transforms, hidden), []


def two_stage(codes: Tensor, *, seed: int, hidden: Sequence[int] = (256, 256)) -> Fitted:
    """See `second_stage.fit_second_stage`."""
    return fit_second_stage(codes, seed, hidden), []


KINDS: dict[str, Fit] = {f.__name__: f for f in (gmm, gaussian, kde, prior, flow, two_stage)}
_FORMS: dict[str, Callable[..., Density]] = {f.form: f for f in (Mixture, Flow, SecondStage)}


def restored(parts: Mapping[str, Any], width: int) -> Density:
    """The density of codes of so many dimensions that gave its `parts`, and its `form` with them.

    Raises whatever parts that are damaged lead to.
    """
    values = dict(parts)
    found = _FORMS[values.pop("form")](**values)
    if found.width != width:
        raise ValueError("densities of another width")
    return found


def settings_of(fit: Fit, given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a fit: those given, and the defaults of the others."""
    known = inspect.signature(fit).parameters.values()
    found = {p.name: p.default for p in known if p.default is not p.empty} | dict(given)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


def refuse_unsuited(kind: str, net: Autoencoder, regularisers: Iterable[str], place: str) -> None:
    """Raise UserError for a network whose codes a kind of sampler cannot be fitted to.

    regularisers: the names of those that it was trained with; place: what the message begins with.
    """
    if net.latent is not None and net.latent.kind == "vq":
        raise UserError(
            f"{place}: codes of latent=vq are words of a codebook, and these samplers draw "
            "between words; train with another latent, as latent=gaussian"
        )
    if kind == "prior" and net.latent is None and not {"mmd", "adversarial"} & set(regularisers):
        raise UserError(
            f"{place}: nothing trained this run's codes towards a prior; use the sampler gmm, "
            "or train with experiment=vae, wae or aae"
        )
    if isinstance(net.output_activation, TotalSharingHead):
        raise UserError(
            f"{place}: this run's output shares out each sample's total, which its code does "
            "not hold, so that it cannot make samples; train one with objective=poisson or mse"
        )


def refuse_few(kind: str, settings: Mapping[str, Any], samples: int) -> None:
    """Raise ConfigError where a run has fewer training samples than its sampler has components."""
    components = settings_of(KINDS[kind], settings).get("components")
    codes = min(samples, MOST_CODES)
    if components is not None and components > codes:
        raise ConfigError(
            f"sampler.components={components}: the sampler is fitted to the codes of {codes} "
            f"training samples, which are fewer; give at most {codes}, or sampler=gaussian"
        )


def rows_to_fit(samples: int, most: int, seed: int) -> Tensor:
    """Which of so many samples a density is fitted to: all, or so many at random; ascending."""
    order = torch.randperm(samples, generator=generator(seed, "codes of the sampler"))
    return order[:most].sort().values
