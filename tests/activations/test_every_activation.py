"""What training asks of each yaml of configs/activation: one graph, bfloat16, its own numbers."""

from pathlib import Path

import pytest
import torch
from catalogue.options import Option, read_options
from torch import Tensor, nn

from activae.activations import gain, values_per_unit

OPTIONS = read_options(Path(__file__).parents[2] / "configs" / "activation")
BUILDABLE = [option for option in OPTIONS.values() if not option.missing]
each_option = pytest.mark.parametrize("option", BUILDABLE, ids=lambda option: option.name)


def batch_for(module: nn.Module) -> Tensor:
    """Inputs [40, units] for it, of either sign, up to some 10^4."""
    inputs, _ = values_per_unit(module)
    noise = torch.randn(40, 6 * inputs, generator=torch.Generator().manual_seed(0))
    return noise * torch.logspace(-2, 3.5, 40)[:, None]


def forward_and_backward(module: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    x = x.clone().requires_grad_()
    output = module(x)
    return output, list(torch.autograd.grad(output.sum(), [x, *module.parameters()]))


@each_option
def test_it_compiles_as_one_graph(option: Option) -> None:
    torch.compiler.reset()  # torch counts the graphs of one class against a limit
    module = option.make().eval()
    x = batch_for(module)
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)

    output, gradients = forward_and_backward(compiled, x)

    expected, expected_gradients = forward_and_backward(module, x)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(gradients, expected_gradients)


@each_option
def test_in_mixed_precision_it_gives_the_same_to_bfloat16(option: Option) -> None:
    module = option.make().eval()
    x = batch_for(module).bfloat16()

    with torch.autocast("cpu", torch.bfloat16):
        output, gradients = forward_and_backward(module, x)

    expected, (slopes, *_) = forward_and_backward(module, x.float())
    assert output.dtype == torch.bfloat16
    assert all(gradient.isfinite().all() for gradient in gradients)
    # x within 1 only: a large one, rounded, is another point of a wave.
    near = (x.abs() <= 1).all(1)
    error = 2e-2 * max(1.0, slopes[near].abs().max().item())
    torch.testing.assert_close(output[near].float(), expected[near], rtol=3e-2, atol=error)


@each_option
def test_the_gain_in_its_yaml_is_the_gain(option: Option) -> None:
    assert option.stated_gain == f"{gain(option.make()):.4f}"
