"""The derivative that dead and saturated units are measured by."""

import pytest
import torch
from torch import Tensor, nn

from activae.activations import Custom, RReLU, Sin, Snake, slope


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (2, 3, 4, 4), (0, 3)])
def test_slope_is_the_derivative_in_the_shape_of_the_input(shape: tuple[int, ...]) -> None:
    z = numbers(*shape)

    torch.testing.assert_close(slope(nn.Tanh(), z), 1 - z.tanh().square())
    torch.testing.assert_close(slope(torch.sin, z), z.cos())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_slope_has_the_dtype_of_the_input(dtype: torch.dtype) -> None:
    z = numbers(6).to(dtype)

    assert torch.equal(slope(nn.ReLU(), z), (z > 0).to(dtype))


def test_identity_has_slope_one() -> None:
    assert torch.equal(slope(nn.Identity(), numbers(3)), torch.ones(3))


def test_dead_and_saturated_units_have_slope_zero() -> None:
    z = torch.tensor([-200.0, 200.0])

    assert slope(nn.ReLU(), z).tolist() == [0, 1]
    assert slope(nn.Tanh(), z).tolist() == [0, 0]
    assert slope(nn.Hardshrink(), torch.tensor([0.1, 2.0])).tolist() == [0, 1]


def test_a_random_slope_is_its_mean_and_the_mode_stays() -> None:
    inner = RReLU(0.2, 0.4)
    module = nn.Sequential(inner, nn.Identity().eval())

    assert slope(module, torch.tensor([-1.0, 1.0])).tolist() == pytest.approx([0.3, 1])
    assert [part.training for part in module.modules()] == [True, True, False]


def test_the_mode_stays_when_the_activation_fails() -> None:
    module = nn.PReLU(4)

    with pytest.raises(RuntimeError, match="parameter numbers"):
        slope(module, numbers(2, 3))
    assert module.training


@pytest.mark.parametrize("module", [nn.PReLU(init=0.3), Snake(learnable=True)])
def test_gradients_of_parameters_are_not_touched(module: nn.Module) -> None:
    (parameter,) = module.parameters()

    assert not slope(module, numbers(4)).requires_grad
    assert parameter.grad is None

    parameter.grad = torch.full_like(parameter, 7)
    slope(module, numbers(4))
    assert parameter.grad.tolist() == torch.full_like(parameter, 7).tolist()


def test_a_slope_for_each_channel_is_taken_channel_by_channel() -> None:
    module = nn.PReLU(2)
    module.weight.data = torch.tensor([0.1, 0.6])

    assert slope(module, -torch.ones(1, 2)).tolist() == [[pytest.approx(0.1), pytest.approx(0.6)]]


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_slope_is_had_while_evaluating(context: type[torch.no_grad]) -> None:
    with context():
        z = numbers(5) * 2
        derivative = slope(Sin(), z)

    torch.testing.assert_close(derivative, z.cos())


def test_slope_leaves_the_input_and_its_graph_alone() -> None:
    z = numbers(5).requires_grad_()
    before = z.detach().clone()

    derivative = slope(nn.ReLU(inplace=True), z)

    assert torch.equal(z.detach(), before)
    assert z.grad is None
    assert torch.equal(derivative, (before > 0).float())


def test_a_forward_hook_may_ask_for_the_slope() -> None:
    module = Custom("torch.tanh")
    seen: list[Tensor] = []

    def measure(module: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        seen.append(slope(module, inputs[0]))

    module.register_forward_hook(measure)
    module(torch.zeros(2))

    assert [derivative.tolist() for derivative in seen] == [[1, 1]]
