"""chi_1 = E[f'^2] / E[f^2] and s = E[z f f'] / E[f^2]."""

import math

import pytest
import torch
from torch import Tensor, nn

from activae.activations import RReLU, Snake, gain, moments
from activae.errors import ConfigError


@pytest.mark.parametrize("power", [1, 2, 3, 5])
def test_powers_have_the_figures_that_the_normal_moments_give(power: int) -> None:
    """E[z^(2n - 2)] / E[z^(2n)] = 1 / (2n - 1)."""
    figures = moments(lambda x: x**power)

    assert figures.chi_1 == pytest.approx(power**2 / (2 * power - 1), rel=1e-9)
    assert figures.s == pytest.approx(power, rel=1e-9)


def test_the_bell_has_the_figures_of_its_closed_form() -> None:
    """E[f^2] = 5^(-1/2), E[f'^2] = 4 * 5^(-3/2), E[z f f'] = -2 * 5^(-3/2)."""
    figures = moments(lambda x: torch.exp(-x * x))

    assert figures.gain == pytest.approx(5**0.25, rel=1e-9)
    assert figures.chi_1 == pytest.approx(0.8, rel=1e-9)
    assert figures.s == pytest.approx(-0.4, rel=1e-9)


def test_the_sine_has_the_figures_of_its_closed_form() -> None:
    second = (1 - math.exp(-2)) / 2

    figures = moments(torch.sin)

    assert figures.chi_1 == pytest.approx((1 - second) / second, rel=1e-9)
    assert figures.s == pytest.approx(math.exp(-2) / second, rel=1e-9)


@pytest.mark.parametrize(
    "module", [nn.ReLU(), nn.LeakyReLU(0.3), nn.PReLU(init=0.6), RReLU(0.1, 0.5), nn.Identity()]
)
def test_what_scales_with_its_input_has_chi_and_s_one(module: nn.Module) -> None:
    figures = moments(module)

    assert (figures.chi_1, figures.s) == pytest.approx((1, 1), rel=1e-9)


@pytest.mark.parametrize("edge", [0.5, 0.3, 1.7])
def test_kinks_are_integrated_wherever_they_lie(edge: float) -> None:
    """Of softshrink f' = 1 beyond the edge e, where z f f' = z^2 - e |z| has the integral of 1."""
    tail = math.erfc(edge / math.sqrt(2))
    density = 2 * math.exp(-edge * edge / 2) / math.sqrt(2 * math.pi)
    second = (1 + edge**2) * tail - edge * density

    figures = moments(nn.Softshrink(edge))

    assert (figures.chi_1, figures.s) == pytest.approx((tail / second, tail / second), rel=1e-3)


def test_a_jump_is_not_seen_by_the_slope() -> None:
    inside = math.erfc(0.5 / math.sqrt(2))

    figures = moments(nn.Hardshrink(0.5))

    assert figures.chi_1 == pytest.approx(inside * figures.gain**2, rel=1e-4)
    assert figures.s == pytest.approx(1, rel=1e-9)


def test_the_gain_is_that_of_gain() -> None:
    assert moments(nn.GELU()).gain == gain(nn.GELU())


def test_the_module_stays_as_it_is() -> None:
    snake = Snake(learnable=True).train()
    before = torch.get_rng_state()

    moments(snake)

    (parameter,) = snake.parameters()
    assert snake.training
    assert parameter.grad is None
    assert parameter.dtype == torch.float32
    assert torch.equal(torch.get_rng_state(), before)


def root(x: Tensor) -> Tensor:
    return torch.sign(x) * x.abs().sqrt()


def test_a_slope_without_second_moment_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="activation root has a slope with an infinite second"):
        moments(root)


def test_a_function_without_gain_is_refused_as_by_gain() -> None:
    with pytest.raises(ConfigError, match="activation log is not finite"):
        moments(torch.log)
