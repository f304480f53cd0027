"""The initialisation gain, 1 / sqrt(E[f(z)^2])."""

import contextlib
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.activations import Custom, RReLU, Sin, Snake, gain
from activae.errors import ConfigError

Function = Callable[[Tensor], Tensor]


def elish(x: Tensor) -> Tensor:
    return torch.where(x >= 0, x, torch.expm1(x)) * torch.sigmoid(x)


def penalized_tanh(x: Tensor) -> Tensor:
    return torch.where(x > 0, torch.tanh(x), 0.25 * torch.tanh(x))


# Computed for this project by two independent methods; those below the line by one.
TABLE: list[tuple[str, Function, float]] = [
    ("identity", nn.Identity(), 1.0000),
    ("relu", nn.ReLU(), 1.4142),
    ("leaky_relu", nn.LeakyReLU(0.01), 1.4141),
    ("elu", nn.ELU(), 1.2452),
    ("celu(2)", nn.CELU(2.0), 1.1552),
    ("selu", nn.SELU(), 1.0000),
    ("gelu", nn.GELU(), 1.5335),
    ("silu", nn.SiLU(), 1.6765),
    ("mish", nn.Mish(), 1.4868),
    ("hardswish", nn.Hardswish(), 1.7367),
    ("softplus", nn.Softplus(), 1.0419),
    ("squareplus", lambda x: (x + torch.sqrt(x * x + 4)) / 2, 0.8165),
    ("sigmoid", nn.Sigmoid(), 1.8462),
    ("hardsigmoid", nn.Hardsigmoid(), 1.8978),
    ("tanh", nn.Tanh(), 1.5925),
    ("hardtanh", nn.Hardtanh(), 1.3920),
    ("softsign", nn.Softsign(), 2.3375),
    ("erf", torch.erf, 1.4672),
    ("asinh", torch.asinh, 1.2567),
    ("tanhshrink", nn.Tanhshrink(), 2.3384),
    ("softshrink", nn.Softshrink(), 1.5444),
    ("sin", Sin(), 1.5209),
    ("snake(1)", Snake(), 0.8746),
    ("exp(-x^2)", lambda x: torch.exp(-x * x), 1.4953),
    ("gcu", lambda x: x * torch.cos(x), 1.8349),
    ("lisht", lambda x: x * torch.tanh(x), 1.1487),
    ("relu^2", lambda x: F.relu(x).square(), 0.8165),
    ("golu", lambda x: x * torch.exp(-torch.exp(-x)), 1.7688),
    ("telu", lambda x: x * torch.tanh(torch.exp(x)), 1.3748),
    ("serf", lambda x: x * torch.erf(F.softplus(x)), 1.4122),
    ("smish", lambda x: x * torch.tanh(torch.log1p(torch.sigmoid(x))), 2.5130),
    #
    ("prelu(.25)", nn.PReLU(), 1.3720),
    ("scaled tanh", lambda x: 1.7159 * torch.tanh(2 * x / 3), 1.1544),
    ("penalized tanh(.25)", penalized_tanh, 2.1849),
    ("logish", lambda x: x * torch.log1p(torch.sigmoid(x)), 2.2677),
    ("elish", elish, 1.7073),
    ("arctan", torch.atan, 1.4912),
    ("isru", lambda x: x / torch.sqrt(1 + x * x), 1.7042),
    ("gelu-tanh", nn.GELU("tanh"), 1.5336),
    ("quick-gelu", lambda x: x * torch.sigmoid(1.702 * x), 1.5395),
]


def normal_tail(z: float) -> float:
    """The probability that a standard normal number exceeds z."""
    return math.erfc(z / math.sqrt(2)) / 2


def normal_density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(
    ("function", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_gain_equals_the_reference_to_four_decimals(function: Function, expected: float) -> None:
    assert round(gain(function), 4) == expected


@pytest.mark.parametrize("edge", [0.5, 0.3, 1.7])
def test_jumps_are_integrated_wherever_they_lie(edge: float) -> None:
    second_moment = 2 * (normal_tail(edge) + edge * normal_density(edge))

    assert gain(nn.Hardshrink(edge)) == pytest.approx(second_moment**-0.5, rel=5e-5)


def test_a_random_slope_counts_as_its_mean() -> None:
    mean = (0.1 + 0.5) / 2
    module = RReLU(0.1, 0.5).train()

    assert gain(module) == pytest.approx(((1 + mean**2) / 2) ** -0.5, abs=1e-6)
    assert gain(nn.RReLU(0.1, 0.5)) == pytest.approx(gain(module), abs=1e-9)
    assert module.training


def test_a_learnable_slope_counts_as_it_is_now() -> None:
    module = nn.PReLU(init=0.5)

    assert gain(module) == pytest.approx((1.25 / 2) ** -0.5, abs=1e-6)


def test_a_function_undefined_at_zero_alone_has_a_gain() -> None:
    expected = gain(lambda x: torch.sinc(x / math.pi))

    assert gain(lambda x: torch.sin(x) / x) == pytest.approx(expected, abs=1e-9)


def test_a_custom_activation_has_the_gain_of_its_function() -> None:
    assert gain(Custom("torch.asinh")) == gain(torch.asinh)
    assert gain(Custom("torch.nn.PReLU", {"init": 0.5})) == gain(nn.PReLU(init=0.5))


def test_an_in_place_activation_has_the_gain_of_the_plain_one() -> None:
    assert gain(nn.ELU(inplace=True)) == gain(nn.ELU())


def test_evaluation_leaves_the_module_as_it_was() -> None:
    called: list[nn.Module] = []
    inner = Snake(learnable=True)
    module = nn.Sequential(inner, RReLU().eval()).train(True)
    module[1].eval()
    module.register_forward_hook(lambda module, *_: called.append(module))
    (inner(torch.ones(3)).sum()).backward()
    assert isinstance(inner.a, nn.Parameter)
    assert inner.a.grad is not None
    gradient, value = inner.a.grad.clone(), inner.a.detach().clone()
    random_state = torch.get_rng_state()

    gain(module)

    assert torch.equal(inner.a.grad, gradient)
    assert torch.equal(inner.a.detach(), value)
    assert inner.a.dtype == torch.float32
    assert inner.a.requires_grad
    assert [part.training for part in module.modules()] == [True, True, False]
    assert called == []
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("function", [nn.ReLU(), nn.PReLU(4)], ids=["works", "fails"])
def test_evaluation_leaves_the_number_of_threads_as_it_was(function: nn.Module) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with contextlib.suppress(ConfigError):
            gain(function)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def zero(x: Tensor) -> Tensor:
    return 0 * x


def logarithm(x: Tensor) -> Tensor:
    return torch.log(x)


def reciprocal(x: Tensor) -> Tensor:
    return 1 / x


def inverse_root(x: Tensor) -> Tensor:
    return x.abs().rsqrt()


def bell_upside_down(x: Tensor) -> Tensor:
    return torch.exp(x * x / 4)


def total(x: Tensor) -> Tensor:
    return x.sum()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (zero, "is 0 for all inputs"),
        (logarithm, "not finite at x = -12"),
        (reciprocal, "infinite second moment"),
        (inverse_root, "infinite second moment"),
        (bell_upside_down, "infinite second moment"),
        (total, "an activation keeps the shape"),
    ],
)
def test_a_function_without_a_gain_is_refused_by_name(function: Function, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"activation {function.__name__}.*{reason}"):
        gain(function)


def test_a_module_without_a_gain_is_refused_with_its_parameters() -> None:
    with pytest.raises(ConfigError, match=r"activation Softshrink\(99\) is 0"):
        gain(nn.Softshrink(99))
    with pytest.raises(ConfigError, match=r"activation PReLU\(num_parameters=4\) cannot be appl"):
        gain(nn.PReLU(4))


@pytest.mark.parametrize("power", [1, 2, 5])
def test_powers_have_the_gain_that_the_normal_moments_give(power: int) -> None:
    double_factorial = math.prod(range(1, 2 * power, 2))  # E[z^(2 power)]

    assert gain(lambda x: x**power) == pytest.approx(double_factorial**-0.5, rel=1e-7)


def test_exponential_growth_is_integrated() -> None:
    assert gain(torch.exp) == pytest.approx(math.exp(-1), rel=1e-9)
