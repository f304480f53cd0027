"""The activations that torch lacks, beside their formulas as the papers print them."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.integrate import quad
from torch import nn

from activae import activations as ours
from activae.activations import Rational, gain
from activae.errors import ConfigError

exp, tanh, sqrt, log1p = math.exp, math.tanh, math.sqrt, math.log1p
POINTS = [-6.0, -3.0, -1.5, -1.0, -0.3, 0.0, 0.4, 1.0, 1.7, 3.0, 6.0]
PADE = ([0.3, -0.5, 1.1, 0.2], [0.7, -1.3])  # Q changes its sign


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def softplus(x: float) -> float:
    return log1p(exp(x))


def smelu(x: float, beta: float) -> float:
    return 0 if x < -beta else x if x > beta else (x + beta) ** 2 / (4 * beta)


def xielu(x: float, alpha_p: float, alpha_n: float, beta: float) -> float:
    return alpha_p * x * x + beta * x if x > 0 else alpha_n * (exp(x) - 1 - x) + beta * x


def pade(x: float) -> float:
    numerator = sum(a * x**power for power, a in enumerate(PADE[0]))
    denominator = sum(b * x**power for power, b in enumerate(PADE[1], start=1))
    return numerator / (1 + abs(denominator))


FORMULAS: list[tuple[nn.Module, Callable[[float], float]]] = [
    (ours.GoLU(), lambda x: x * exp(-exp(-x))),
    (ours.TeLU(), lambda x: x * tanh(exp(x))),
    (ours.Serf(), lambda x: x * math.erf(softplus(x))),
    (ours.Smish(), lambda x: x * tanh(log1p(sigmoid(x)))),
    (ours.Logish(), lambda x: x * log1p(sigmoid(x))),
    (ours.ELiSH(), lambda x: (x if x >= 0 else exp(x) - 1) * sigmoid(x)),
    (ours.QuickGELU(), lambda x: x * sigmoid(1.702 * x)),
    (ours.Swish(), lambda x: x * sigmoid(x)),
    (ours.Swish(0.3), lambda x: x * sigmoid(0.3 * x)),
    (ours.ScaledTanh(), lambda x: 1.7159 * tanh(2 * x / 3)),
    (ours.ScaledTanh(2.0, 0.5), lambda x: 2 * tanh(0.5 * x)),
    (ours.PenalizedTanh(), lambda x: tanh(x) if x > 0 else 0.25 * tanh(x)),
    (ours.Arctan(), math.atan),
    (ours.Erf(), math.erf),
    (ours.Asinh(), math.asinh),
    (ours.ISRU(), lambda x: x / sqrt(1 + x * x)),
    (ours.ISRU(3.0), lambda x: x / sqrt(1 + 3 * x * x)),
    (ours.ISRLU(), lambda x: x if x >= 0 else x / sqrt(1 + x * x)),
    (ours.ISRLU(3.0), lambda x: x if x >= 0 else x / sqrt(1 + 3 * x * x)),
    (ours.DynamicTanh(), lambda x: tanh(x / 2)),
    (ours.DynamicTanh(2.0, 3.0, -1.0), lambda x: 3 * tanh(2 * x) - 1),
    (ours.Squareplus(), lambda x: (x + sqrt(x * x + 4)) / 2),
    (ours.Squareplus(1.0), lambda x: (x + sqrt(x * x + 1)) / 2),
    (ours.ShiftedSoftplus(), lambda x: math.log(0.5 * exp(x) + 0.5)),
    (ours.ReLUSquared(), lambda x: max(0.0, x) ** 2),
    (ours.SmeLU(), lambda x: smelu(x, 1)),
    (ours.SmeLU(2.5), lambda x: smelu(x, 2.5)),
    (ours.BentIdentity(), lambda x: x + (sqrt(x * x + 1) - 1) / 2),
    (ours.XIELU(), lambda x: xielu(x, 0.8, 0.8, 0.5)),
    (ours.XIELU(0.2, 1.4, 1.0), lambda x: xielu(x, 0.2, 1.4, 1.0)),
    (ours.Gaussian(), lambda x: exp(-x * x)),
    (ours.GCU(), lambda x: x * math.cos(x)),
    (ours.LiSHT(), lambda x: x * tanh(x)),
    (ours.Rational(*PADE), pade),
    (ours.Rational([2.0], [0.5]), lambda x: 2 / (1 + abs(x) / 2)),
]
each = pytest.mark.parametrize(
    ("module", "formula"), FORMULAS, ids=[str(module) for module, _ in FORMULAS]
)


@each
def test_follows_its_formula(module: nn.Module, formula: Callable[[float], float]) -> None:
    x = torch.tensor(POINTS)

    expected = torch.tensor([formula(point) for point in POINTS])
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-6)


@each
def test_gain_is_that_of_adaptive_integration(
    module: nn.Module, formula: Callable[[float], float]
) -> None:
    def mass(z: float) -> float:
        return formula(z) ** 2 * exp(-z * z / 2) / sqrt(2 * math.pi)

    kinks = [0, -1, 1, -2.5, 2.5]
    moment, _ = quad(mass, -12, 12, points=kinks, limit=200, epsabs=1e-12)

    assert gain(module) == pytest.approx(moment**-0.5, abs=2e-6)


def test_rational_starts_near_leaky_relu() -> None:
    x = torch.linspace(-3, 3, 601)

    error = Rational()(x) - nn.functional.leaky_relu(x, 0.01)

    assert error.abs().max() < 0.035
    assert error.square().mean().sqrt() < 0.006


def test_rational_has_no_pole() -> None:
    x = torch.linspace(-5, 5, 100_001, dtype=torch.float64)
    rational = Rational([1.0], [-2.0, 1.0]).double()  # 1 + Q = (x - 1)^2 without the safe form

    assert rational(x).abs().max() <= 1


@pytest.mark.parametrize(
    "module",
    [ours.Swish(0.5), ours.DynamicTanh(), ours.XIELU(), ours.Rational()],
    ids=lambda module: type(module).__name__,
)
def test_learned_parameters_start_as_told_and_learn(module: nn.Module) -> None:
    module(torch.linspace(-2, 3, 50)).square().sum().backward()

    gradients = [parameter.grad for parameter in module.parameters()]
    assert gradients
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize("module", [ours.Squareplus(), ours.ISRLU(), ours.ELiSH(), ours.XIELU()])
def test_the_two_sides_share_their_slope_at_zero(module: nn.Module) -> None:
    module = module.double()
    x = torch.tensor([-1e-7, 0.0, 1e-7], dtype=torch.float64, requires_grad=True)

    (slopes,) = torch.autograd.grad(module(x).sum(), x)

    torch.testing.assert_close(slopes, slopes[1].expand(3), rtol=0, atol=1e-6)


def test_squareplus_keeps_its_digits_far_to_the_left() -> None:
    assert ours.Squareplus()(torch.tensor(-1e4)).item() == pytest.approx(1e-4, rel=1e-6)


def test_quick_gelu_is_near_gelu() -> None:
    x = torch.linspace(-8, 8, 10_001)

    assert (ours.QuickGELU()(x) - nn.functional.gelu(x)).abs().max() < 0.021


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (ours.ScaledTanh, {"scale": 0.0}, r"activation\.scale=0\.0"),
        (ours.ScaledTanh, {"slope": -1.0}, r"activation\.slope=-1\.0"),
        (ours.PenalizedTanh, {"a": math.nan}, r"activation\.a=nan"),
        (ours.ISRU, {"alpha": 0.0}, r"activation\.alpha=0\.0"),
        (ours.ISRLU, {"alpha": math.inf}, r"activation\.alpha=inf"),
        (ours.Squareplus, {"b": 0.0}, r"activation\.b=0\.0"),
        (ours.SmeLU, {"beta": 0.0}, r"activation\.beta=0\.0"),
        (ours.Swish, {"beta": math.inf}, r"activation\.beta=inf"),
        (ours.DynamicTanh, {"alpha": 0.0}, r"activation\.alpha=0\.0"),
        (ours.DynamicTanh, {"gamma": math.nan}, r"activation\.gamma=nan"),
        (ours.XIELU, {"alpha_p": -1.0}, r"activation\.alpha_p=-1\.0"),
        (ours.XIELU, {"alpha_n": 0.5}, r"activation\.alpha_n=0\.5.*activation\.beta=0\.5"),
        (ours.Rational, {"numerator": []}, r"activation\.numerator=\[\]"),
        (ours.Rational, {"denominator": [1.0, math.nan]}, r"activation\.denominator=\[1\.0, nan\]"),
    ],
)
def test_refuses_parameters_that_make_no_activation(
    make: Callable[..., nn.Module], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make(**parameters)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (ours.Swish(0.5), "Swish(beta=0.5)"),
        (ours.ScaledTanh(), "ScaledTanh(scale=1.7159, slope=0.666667)"),
        (ours.XIELU(), "XIELU(alpha_p=0.8, alpha_n=0.8, beta=0.5)"),
        (ours.DynamicTanh(), "DynamicTanh(alpha=0.5, gamma=1.0, beta=0.0)"),
        (ours.Rational(), "Rational(degrees=5/4)"),
    ],
)
def test_text_of_a_module_shows_its_parameters(module: nn.Module, text: str) -> None:
    assert str(module) == text
