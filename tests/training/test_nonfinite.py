import math

import pytest
import torch
from torch import nn

from activae.training.divergence import first_nonfinite, first_nonfinite_parameter


class Log(nn.Module):
    def forward(self, x):
        return x.log()


class Branches(nn.Module):
    """Calls its layers in another order than it defines them, and divides on its own."""

    def __init__(self):
        super().__init__()
        self.second = Log()
        self.first = Log()

    def forward(self, x):
        return self.second(self.first(x)) / 0


def test_a_finite_forward_names_nothing():
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    assert first_nonfinite(net, lambda: net(torch.ones(4, 3))) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_layer_with_a_bad_weight_is_named_not_those_after_it(value):
    net = nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))})
    with torch.no_grad():
        net["encoder"][2].weight[0, 0] = value
    found = first_nonfinite(net, lambda: net["encoder"](torch.ones(4, 3)))
    assert found == "encoder.2"


def test_order_is_that_of_execution_not_of_definition():
    net = Branches()
    assert first_nonfinite(net, lambda: net(torch.tensor([-1.0]))) == "first"
    assert first_nonfinite(net, lambda: net(torch.tensor([0.5]))) == "second"


def test_a_container_is_named_where_its_own_arithmetic_fails():
    net = nn.Sequential(Branches())
    assert first_nonfinite(net, lambda: net(torch.tensor([3.0]))) == "0"
    assert first_nonfinite(net[0], lambda: net(torch.tensor([3.0]))) == "Branches"


def test_outputs_in_tuples_are_looked_into():
    class Pair(nn.Module):
        def forward(self, x):
            return x, (None, x / 0)

    net = Pair()
    assert first_nonfinite(net, lambda: net(torch.ones(1))) == "Pair"


def test_no_gradient_is_taken_and_no_hook_stays():
    layer = nn.Linear(2, 2)
    first_nonfinite(layer, lambda: torch.testing.assert_close(torch.is_grad_enabled(), False))
    assert not layer._forward_hooks


def test_the_first_parameter_with_a_bad_value_or_gradient_is_named():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert first_nonfinite_parameter(net.named_parameters()) is None
    net(torch.ones(1, 2)).sum().backward()
    assert first_nonfinite_parameter(net.named_parameters()) is None
    net[1].bias.grad[0] = math.nan
    assert first_nonfinite_parameter(net.named_parameters()) == "1.bias.grad"
    with torch.no_grad():
        net[1].weight[0, 0] = math.inf
    assert first_nonfinite_parameter(net.named_parameters()) == "1.weight"
    net[0].weight.grad[1, 1] = math.inf
    assert first_nonfinite_parameter(net.named_parameters()) == "0.weight.grad"
