"""The interval that an activation's outputs lie in."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.activations import Custom, Sin, Snake, output_range
from activae.errors import ConfigError

INF = math.inf


def naive_sigmoid(x: Tensor) -> Tensor:
    """Not a number from x = 710 up, where exp overflows."""
    return torch.exp(x) / (1 + torch.exp(x))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (nn.Identity(), (-INF, INF)),
        (nn.ReLU(), (0, INF)),
        (nn.ReLU6(), (0, 6)),
        (nn.LeakyReLU(), (-INF, INF)),
        (nn.PReLU(), (-INF, INF)),
        (nn.RReLU(), (-INF, INF)),
        (nn.ELU(), (-1, INF)),
        (nn.SELU(), (-1.7580993, INF)),
        (nn.CELU(2.0), (-2, INF)),
        (nn.GELU(), (-0.1699712, INF)),
        (nn.SiLU(), (-0.2784645, INF)),
        (nn.Mish(), (-0.3088432, INF)),
        (nn.Hardswish(), (-0.375, INF)),
        (nn.Softplus(), (0, INF)),
        (nn.Sigmoid(), (0, 1)),
        (nn.Hardsigmoid(), (0, 1)),
        (nn.Tanh(), (-1, 1)),
        (nn.Hardtanh(-3, 250), (-3, 250)),
        (nn.Softsign(), (-1, 1)),
        (nn.LogSigmoid(), (-INF, 0)),
        (nn.Tanhshrink(), (-INF, INF)),
        (nn.Softshrink(), (-INF, INF)),
        (nn.Hardshrink(), (-INF, INF)),
        (nn.Threshold(1.0, -5.0), (-5, INF)),
        (Sin(), (-1, 1)),
        (Sin(30.0), (-1, 1)),
        (Snake(), (-INF, INF)),
        (Custom("torch.atan"), (-math.pi / 2, math.pi / 2)),
        (torch.asinh, (-INF, INF)),
        (torch.exp, (0, INF)),
        (lambda x: x * torch.cos(x), (-INF, INF)),
        (lambda x: torch.sign(x) * x.abs().sqrt(), (-INF, INF)),
        (lambda x: torch.log1p(x.abs()), (0, INF)),
        (lambda x: torch.tanh(x) / 1000, (-0.001, 0.001)),
        (lambda x: 1 - (1 + F.relu(x)).rsqrt(), (0, 1)),
        (naive_sigmoid, (0, 1)),
    ],
)
def test_range_is_the_interval_of_the_outputs(
    function: Callable[[Tensor], Tensor], expected: tuple[float, float]
) -> None:
    scale = max(abs(bound) for bound in (*expected, 1e-3) if math.isfinite(bound))

    assert output_range(function) == pytest.approx(expected, abs=1e-6 * scale)


@pytest.mark.parametrize("function", [nn.Sigmoid(), nn.Softsign(), nn.Tanh(), Sin(), Sin(7.3)])
def test_a_whole_number_is_given_as_such(function: nn.Module) -> None:
    """A bound that is approached only compares as reached: softsign suits data in [-1, 1]."""
    lower, upper = output_range(function)

    assert lower in (0, -1)
    assert upper == 1


def test_a_function_without_values_is_refused_by_name() -> None:
    def nowhere(x: Tensor) -> Tensor:
        return x * math.nan

    with pytest.raises(ConfigError, match="activation nowhere is not a number"):
        output_range(nowhere)
