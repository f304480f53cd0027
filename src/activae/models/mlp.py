"""Fully connected encoders and decoders: plain, and of pre-activation residual blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from math import prod, sqrt

from torch import Tensor, nn

from activae.errors import ConfigError
from activae.models.hidden import (
    ActivationFactory,
    Hidden,
    Layers,
    build_matched,
    check_widths,
)

# (layers, inputs, kind, widths): appends the hidden layers, returns what the next layer takes.
AddHidden = Callable[[Layers, int, Hidden, Sequence[int]], int]


class MLPEncoder(nn.Sequential):
    """[B, *input_shape] -> [B, code_dim] through fully connected layers of widths `hidden`.

    normalisation, dropout: see `activae.models.hidden.Hidden`; match_parameters: whether
    `build_matched` scales the widths for an activation that is not elementwise. Raises ConfigError
    for widths that are not whole numbers of 1 or more.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        code_dim: int,
        *,
        hidden: Sequence[int],
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
        match_parameters: bool = True,
    ) -> None:
        check_widths(hidden, "encoder.hidden")
        kind = Hidden("encoder", activation, normalisation, dropout)
        build = partial(_to_code, _add_hidden, prod(input_shape), code_dim)
        super().__init__(build_matched(build, kind, hidden, match=match_parameters))


class MLPDecoder(nn.Sequential):
    """[B, code_dim] -> [B, *output_shape] through fully connected layers of widths `hidden`.

    The other parameters, and what is raised, are those of MLPEncoder.
    """

    def __init__(
        self,
        code_dim: int,
        output_shape: Sequence[int],
        *,
        hidden: Sequence[int],
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
        match_parameters: bool = True,
    ) -> None:
        check_widths(hidden, "decoder.hidden")
        kind = Hidden("decoder", activation, normalisation, dropout)
        build = partial(_to_samples, _add_hidden, code_dim, output_shape)
        super().__init__(build_matched(build, kind, hidden, match=match_parameters))


class ResidualMLPEncoder(nn.Sequential):
    """[B, *input_shape] -> [B, code_dim]: linear, residual blocks, activation, linear.

    There are `depth` blocks of each `width`, which is a number or several, first to last. The other
    parameters are those of MLPEncoder. Raises ConfigError for widths or a depth below 1.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        code_dim: int,
        *,
        width: int | Sequence[int],
        depth: int,
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
        match_parameters: bool = True,
    ) -> None:
        widths = _of_blocks(width, depth, "encoder")
        kind = Hidden("encoder", activation, normalisation, dropout)
        build = partial(_to_code, _add_blocks, prod(input_shape), code_dim)
        super().__init__(build_matched(build, kind, widths, match=match_parameters))


class ResidualMLPDecoder(nn.Sequential):
    """[B, code_dim] -> [B, *output_shape]: linear, residual blocks, activation, linear.

    The parameters, and what is raised, are those of ResidualMLPEncoder.
    """

    def __init__(
        self,
        code_dim: int,
        output_shape: Sequence[int],
        *,
        width: int | Sequence[int],
        depth: int,
        activation: ActivationFactory,
        normalisation: str | None = None,
        dropout: float = 0.0,
        match_parameters: bool = True,
    ) -> None:
        widths = _of_blocks(width, depth, "decoder")
        kind = Hidden("decoder", activation, normalisation, dropout)
        build = partial(_to_samples, _add_blocks, code_dim, output_shape)
        super().__init__(build_matched(build, kind, widths, match=match_parameters))


class ResidualBlock(nn.Module):
    """x + scale * branch(x): [B, before] -> [B, after]; twice activation and linear in the branch.

    Where the units differ, a linear projection without bias replaces x. With scale =
    1/sqrt(number of blocks), and branches that keep the variance of their inputs as init=fitted
    makes them, the variance grows at most e-fold over any number of blocks (Hayou et al. 2021).
    """

    def __init__(self, kind: Hidden, units_before: int, units: int, *, scale: float) -> None:
        super().__init__()
        before, after = kind.before(units_before), kind.before(units)
        self.scale = scale
        self.shortcut: nn.Module = (
            nn.Identity() if before == after else nn.Linear(before, after, bias=False)
        )
        branch: Layers = OrderedDict()
        kind.add_activation(branch, units_before, 1)
        branch["layer1"] = nn.Linear(kind.after(units_before), after)
        kind.add_activation(branch, units, 2)
        branch["layer2"] = nn.Linear(kind.after(units), after)
        self.branch = nn.Sequential(branch)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, after] of x [B, before]."""
        shortcut: Tensor = self.shortcut(x)
        return shortcut + self.scale * self.branch(x)

    def extra_repr(self) -> str:
        """Show the scale in the module's text."""
        return f"scale={self.scale:.4g}"


def _add_blocks(layers: Layers, inputs: int, kind: Hidden, widths: Sequence[int]) -> int:
    """Append input layer, blocks and activation; return the width that the next layer takes."""
    layers["input"] = nn.Linear(inputs, kind.before(widths[0]))
    units = widths[0]
    for number, following in enumerate(widths, start=1):
        scale = 1 / sqrt(len(widths))
        layers[f"block{number}"] = ResidualBlock(kind, units, following, scale=scale)
        units = following
    kind.add_activation(layers, units)
    return kind.after(units)


def _of_blocks(width: int | Sequence[int], depth: int, half: str) -> list[int]:
    """The width of each block: `depth` of each kind."""
    widths = [width] if isinstance(width, int) else width
    check_widths(widths, f"{half}.width", at_least=1)
    if depth < 1:
        raise ConfigError(f"{half}.depth={depth}: must be a whole number of 1 or more")
    return [each for each in widths for _ in range(depth)]


def _to_code(
    add_hidden: AddHidden, inputs: int, code_dim: int, kind: Hidden, widths: Sequence[int]
) -> Layers:
    """The layers of an encoder of vectors: [B, ...] of `inputs` values -> [B, code_dim]."""
    layers: Layers = OrderedDict(flatten=nn.Flatten())
    width = add_hidden(layers, inputs, kind, widths)
    layers["code"] = nn.Linear(width, code_dim)
    return layers


def _to_samples(
    add_hidden: AddHidden,
    code_dim: int,
    shape: Sequence[int],
    kind: Hidden,
    widths: Sequence[int],
) -> Layers:
    """The layers of a decoder to vectors, put in shape: [B, code_dim] -> [B, *shape]."""
    layers: Layers = OrderedDict()
    width = add_hidden(layers, code_dim, kind, widths)
    layers["output"] = nn.Linear(width, prod(shape))
    if len(shape) > 1:
        layers["unflatten"] = nn.Unflatten(1, tuple(shape))
    return layers


def _add_hidden(layers: Layers, width: int, kind: Hidden, hidden: Sequence[int]) -> int:
    """Append the hidden layers and return the width that the next layer takes."""
    for number, units in enumerate(hidden, start=1):
        layers[f"layer{number}"] = nn.Linear(width, kind.before(units))
        kind.add_activation(layers, units, number)
        width = kind.after(units)
    return width
