"""Normalising flows, by zuko: an invertible network from codes to standard normal numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from activae.errors import ConfigError
from activae.models.densities.learning import Scale, learn, whitened
from activae.randomness import generator

FAMILIES = {"nsf": "NSF", "maf": "MAF"}
_ROWS = 8192  # that go through at a time


class Flow:
    """The density that a flow gives to codes [N, d].

    family: nsf (rational-quadratic splines: Durkan et al. 2019, Neural spline flows) or maf
    (affine, as real NVP: Dinh et al. 2017); both in coupling layers, half of the dimensions moved
    by the other half, so that drawing takes no longer than the density.
    Raises ConfigError where zuko is not installed.
    """

    form: ClassVar[str] = "flow"

    def __init__(
        self,
        family: str,
        transforms: int,
        hidden: Sequence[int],
        mean: Tensor,
        factor: Tensor,
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        self.family, self.transforms, self.hidden = family, transforms, list(hidden)
        self.scale = Scale(mean, factor)
        widths = sum(hidden) if self.width > 1 else 0  # one dimension has no network
        if weights is not None and (transforms > len(weights) or widths > _values(weights)):
            raise ValueError("weights of another flow")
        with torch.random.fork_rng(devices=[]):  # the weights that layers draw are replaced
            self.flow = _zuko(family)(
                self.width, transforms=transforms, hidden_features=self.hidden, passes=2
            )
        if weights is not None:
            self.flow.load_state_dict(weights)
        self.flow.eval()

    def __str__(self) -> str:
        return f"{self.transforms} layers of {self.family}"

    @property
    def width(self) -> int:
        """d."""
        return len(self.scale.mean)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n codes [n, d], single precision."""
        normal = torch.randn(n, self.width, generator=generator)
        back = self.flow().transform.inv
        return self.scale.invert(torch.cat([back(part) for part in normal.split(_ROWS)]))

    @torch.no_grad()
    def log_prob(self, codes: Tensor) -> Tensor:
        """ln of the density at codes [N, d], in nats: [N], float64."""
        forward, volume = self.flow(), self.scale.factor.diagonal().log().sum()
        parts = self.scale.apply(codes).split(_ROWS)
        return torch.cat([forward.log_prob(part).double() for part in parts]) - volume

    def parts(self) -> dict[str, Any]:
        """Numbers, scale and weights."""
        return {
            "family": self.family,
            "transforms": self.transforms,
            "hidden": self.hidden,
            "mean": self.scale.mean,
            "factor": self.scale.factor,
            "weights": dict(self.flow.state_dict()),
        }


def fit_flow(codes: Tensor, seed: int, family: str, transforms: int, hidden: Sequence[int]) -> Flow:
    """A flow that maximises the likelihood of codes [N, d].

    Raises UserError as `whitened` does, and as `Flow`.
    """
    if family not in FAMILIES:
        raise ConfigError(f"sampler.family={family}: must be one of {', '.join(FAMILIES)}")
    if transforms < 1 or not hidden or any(width < 1 for width in hidden):
        raise ConfigError(
            f"sampler.transforms={transforms}, sampler.hidden={list(hidden)}: must be whole "
            "numbers of 1 or more"
        )
    rows, scale = whitened(codes, seed)
    found = Flow(family, transforms, hidden, scale.mean, scale.factor)
    _begin(found.flow, seed)
    found.flow.train()
    learn(found.flow, lambda x, noise: -found.flow().log_prob(x).mean(), rows, seed)
    found.flow.eval()
    return found


@torch.no_grad()
def _begin(flow: nn.Module, seed: int) -> None:
    """First weights: as torch draws them, and 0 in last layers, so that nothing is moved yet."""
    noise = generator(seed, "weights of the flow")
    for parameter in flow.parameters():
        bound = parameter.shape[-1] ** -0.5
        parameter.copy_((2 * torch.rand(parameter.shape, generator=noise) - 1) * bound)
    for layer in flow.transform.transforms:  # type: ignore[union-attr]
        last = layer.hyper[-1] if hasattr(layer, "hyper") else layer  # of one dimension
        for parameter in last.parameters():
            parameter.zero_()


def _values(weights: dict[str, Tensor]) -> int:
    return sum(value.numel() for value in weights.values())


def _zuko(family: str) -> Any:
    try:
        from zuko import flows
    except ImportError as error:
        raise ConfigError("sampler=flow: needs zuko: pip install 'activae[flows]'") from error
    return getattr(flows, FAMILIES[family])
