"""The activations that torch lacks: sin, snake, and a random ReLU that can be stacked."""

import math

import pytest
import torch
from torch import Tensor, nn

from activae.activations import Custom, RReLU, Sin, Siren, Snake
from activae.errors import ConfigError


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_sin_is_the_sine_of_the_scaled_input() -> None:
    x = numbers(3, 4)

    torch.testing.assert_close(Sin(30.0)(x), torch.sin(30 * x))


@pytest.mark.parametrize("learnable", [True, False])
def test_snake_follows_its_formula(learnable: bool) -> None:
    x = numbers(3, 4)

    torch.testing.assert_close(Snake(0.5, learnable)(x), x + torch.sin(0.5 * x) ** 2 / 0.5)


def test_snake_learns_a_when_told_to() -> None:
    assert list(Snake().parameters()) == []

    snake = Snake(a=2.0, learnable=True)
    (parameter,) = snake.parameters()
    snake(numbers(5)).sum().backward()

    assert parameter.shape == ()
    assert parameter.item() == 2
    assert parameter.grad is not None
    assert parameter.grad.item() != 0


@pytest.mark.parametrize("a", [0.0, -1.0, math.inf, math.nan])
def test_snake_refuses_an_a_that_is_no_frequency(a: float) -> None:
    with pytest.raises(ConfigError, match=rf"activation\.a={a} .*give a positive number"):
        Snake(a)


@pytest.mark.parametrize("frequency", [0.0, math.inf, math.nan])
def test_sin_refuses_a_frequency_that_makes_it_constant(frequency: float) -> None:
    with pytest.raises(ConfigError, match=rf"activation\.frequency={frequency} "):
        Sin(frequency)


def test_siren_is_the_sine_of_thirty_times_its_input() -> None:
    x = numbers(3, 4)

    torch.testing.assert_close(Siren()(x), torch.sin(30 * x))
    torch.testing.assert_close(Siren(w0=7.0)(x), torch.sin(7 * x))


@pytest.mark.parametrize("w0", [0.0, -30.0, math.inf, math.nan])
def test_siren_refuses_a_w0_that_is_no_frequency(w0: float) -> None:
    with pytest.raises(ConfigError, match=rf"activation\.w0={w0} .*give a positive number"):
        Siren(w0)


def test_rrelu_evaluates_as_that_of_torch() -> None:
    x = numbers(100)

    torch.testing.assert_close(RReLU(0.1, 0.4).eval()(x), nn.RReLU(0.1, 0.4).eval()(x))


def test_rrelu_draws_a_slope_for_each_element_in_training() -> None:
    x = -torch.ones(10_000)

    slopes = -RReLU(0.1, 0.4)(x)

    assert slopes.min() >= 0.1
    assert slopes.max() <= 0.4
    assert slopes.mean().item() == pytest.approx(0.25, abs=0.01)
    assert slopes.std().item() == pytest.approx(0.3 / math.sqrt(12), abs=0.01)
    assert torch.equal(RReLU()(-x), -x)


def test_rrelu_trains_in_a_stack() -> None:
    x = -torch.ones(2, 500)

    first, second = torch.func.vmap(RReLU(), randomness="different")(x)

    assert not torch.equal(first, second)


def test_rrelu_refuses_bounds_in_the_wrong_order() -> None:
    with pytest.raises(ConfigError, match=r"activation\.lower=0\.5 is above .*upper=0\.1"):
        RReLU(0.5, 0.1)


@pytest.mark.parametrize(
    "module",
    [
        Sin(2.0),
        Siren(),
        Snake(),
        Snake(learnable=True),
        RReLU().eval(),
        Custom("torch.nn.functional.softplus", {"beta": 2.0}),
        Custom("torch.nn.PReLU"),
    ],
    ids=["sin", "siren", "snake", "learned snake", "rrelu", "custom function", "custom module"],
)
def test_compiles_as_one_graph(module: nn.Module) -> None:
    x = numbers(4, 5).requires_grad_()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)

    torch.testing.assert_close(compiled(x), module(x))
    (gradient,) = torch.autograd.grad(compiled(x).sum(), x)
    (expected,) = torch.autograd.grad(module(x).sum(), x)
    torch.testing.assert_close(gradient, expected)


def test_text_of_a_module_shows_its_parameters() -> None:
    assert str(Sin(2.0)) == "Sin(frequency=2.0)"
    assert str(Siren()) == "Siren(w0=30.0)"
    assert str(Snake(learnable=True)) == "Snake(a=1.0, learnable=True)"
    assert str(RReLU(0.25, 0.5)) == "RReLU(lower=0.25, upper=0.5)"
    assert str(Custom("torch.nn.functional.elu", {"alpha": 2})) == (
        "Custom(torch.nn.functional.elu, alpha=2)"
    )
