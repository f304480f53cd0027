"""Activations that are not elementwise: gated ones, maxout and crelu."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.activations import (
    GEGLU,
    GLU,
    Bilinear,
    CReLU,
    Maxout,
    ReGLU,
    Siren,
    SwiGLU,
    gain,
    is_elementwise,
    slope,
    values_per_unit,
)
from activae.errors import ConfigError
from activae.results.diagnostics import activation_statistics

GATED: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    GLU: torch.sigmoid,
    ReGLU: F.relu,
    GEGLU: F.gelu,
    SwiGLU: F.silu,
    Bilinear: lambda x: x,
}
# Computed for this project, each by one method; see also the comparison with samples below.
GAINS: list[tuple[nn.Module, float]] = [
    (GLU(), 1.8462),
    (ReGLU(), 1.4142),
    (GEGLU(), 1.5335),
    (SwiGLU(), 1.6765),
    (Bilinear(), 1.0),
    (Maxout(), 1.0),
    (Maxout(3), 0.8854),
    (Maxout(4), 0.8029),
    (CReLU(), 1.4142),
]

each_of_them = pytest.mark.parametrize("module", [row[0] for row in GAINS], ids=str)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", GATED)
@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 4, 2)])
def test_the_second_half_of_the_channels_gates_the_first(
    kind: type[nn.Module], shape: tuple[int, ...]
) -> None:
    value, gate = numbers(*shape), numbers(*shape, seed=1)

    output = kind()(torch.cat([value, gate], dim=1))

    torch.testing.assert_close(output, value * GATED[kind](gate))


def test_glu_is_that_of_torch() -> None:
    x = numbers(4, 6)

    torch.testing.assert_close(GLU()(x), F.glu(x, dim=1))


@pytest.mark.parametrize("pieces", [2, 3, 5])
@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 2, 2)])
def test_maxout_is_the_largest_of_its_pieces(pieces: int, shape: tuple[int, ...]) -> None:
    parts = [numbers(*shape, seed=seed) for seed in range(pieces)]

    output = Maxout(pieces)(torch.cat(parts, dim=1))

    torch.testing.assert_close(output, torch.stack(parts).amax(0))


@pytest.mark.parametrize("pieces", [1, 0, -2])
def test_maxout_of_less_than_two_pieces_is_refused(pieces: int) -> None:
    with pytest.raises(ConfigError, match=rf"activation\.pieces={pieces}: .*2 or more"):
        Maxout(pieces)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 2, 2)])
def test_crelu_keeps_both_signs(shape: tuple[int, ...]) -> None:
    x = numbers(*shape)

    positive, negative = CReLU()(x).chunk(2, dim=1)

    torch.testing.assert_close(positive, x.clamp(min=0))
    torch.testing.assert_close(positive - negative, x)


@pytest.mark.parametrize(("module", "expected"), GAINS, ids=str)
def test_gain_equals_the_reference_to_four_decimals(module: nn.Module, expected: float) -> None:
    assert round(gain(module), 4) == expected


@each_of_them
def test_gain_keeps_the_scale_of_what_it_is_computed_for(module: nn.Module) -> None:
    output = module(numbers(500, 1200))

    assert output.square().mean().sqrt().item() * gain(module) == pytest.approx(1, abs=0.01)


@each_of_them
def test_each_says_how_many_values_it_takes_and_gives(module: nn.Module) -> None:
    inputs, outputs = values_per_unit(module)

    assert not is_elementwise(module)
    assert module(numbers(2, 7 * inputs)).shape == (2, 7 * outputs)
    assert is_elementwise(nn.ReLU())
    assert values_per_unit(Siren()) == (1, 1)


@each_of_them
def test_each_trains_in_a_stack_and_compiles_as_one_graph(module: nn.Module) -> None:
    x = numbers(3, 4, 12)
    alone = torch.stack([module(part) for part in x])

    torch.testing.assert_close(torch.func.vmap(module)(x), alone)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(x[0]), module(x[0]))


class Sum(nn.Module):
    """One of the user's own, which does not tell its second moment."""

    inputs_per_unit = 2

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (2, -1)).sum(1)


class ToldSum(Sum):
    moment = 2.0

    def second_moment(self) -> float:
        return self.moment


def test_ones_of_the_users_own_tell_their_second_moment() -> None:
    assert gain(ToldSum()) == pytest.approx(1 / math.sqrt(2))
    with pytest.raises(ConfigError, match=r"activation Sum\(\) has several .* second_moment\(\)"):
        gain(Sum())


@pytest.mark.parametrize("moment", [0.0, -1.0, math.inf, math.nan])
def test_a_second_moment_that_gives_no_gain_is_refused(moment: float) -> None:
    module = ToldSum()
    module.moment = moment

    with pytest.raises(ConfigError, match=rf"ToldSum\(\): second_moment\(\) is {moment}"):
        gain(module)


def test_slope_is_that_of_the_outputs_by_each_input() -> None:
    value, gate = numbers(5, 3), numbers(5, 3, seed=1)
    z = torch.cat([value, gate], dim=1)

    by_value, by_gate = slope(ReGLU(), z).chunk(2, dim=1)

    torch.testing.assert_close(by_value, gate.relu())
    torch.testing.assert_close(by_gate, value * (gate > 0))
    torch.testing.assert_close(slope(CReLU(), value), value.sign())


def test_a_piece_that_never_wins_is_dead_and_so_is_what_a_shut_gate_stops() -> None:
    z = torch.tensor([[1.0, 5.0, 3.0, 2.0], [-1.0, 4.0, 0.0, 6.0]])  # units (1st, 3rd), (2nd, 4th)
    maxout, shut = Maxout(), ReGLU()

    found = activation_statistics({"maxout": maxout}, lambda: maxout(z))["maxout"]
    stopped = activation_statistics({"reglu": shut}, lambda: shut(-z.abs()))["reglu"]

    assert found.dead_fraction == 0.25
    assert found.saturated_fraction == 0.5  # one of two pieces loses each time
    assert stopped.dead_fraction == 1
    assert found.outputs.tolist() == [3, 5, 0, 6]
