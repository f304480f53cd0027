import math

import pytest
import torch
from torch import nn

from activae.results.diagnostics import gradient_norms


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.PReLU(), nn.Linear(3, 2))


def loss_of(net):
    return net(torch.ones(5, 4)).square().sum()


def test_a_layers_norm_is_that_of_weight_and_bias_together(net):
    norms = gradient_norms(net.named_parameters(), loss_of(net))
    loss_of(net).backward()
    assert list(norms) == ["0", "1", "2"]
    for layer, norm in norms.items():
        parameters = net[int(layer)].parameters()
        expected = torch.cat([parameter.grad.flatten() for parameter in parameters]).norm()
        assert norm == pytest.approx(expected.item())


def test_gradients_already_there_are_not_touched(net):
    loss_of(net).backward()
    before = [parameter.grad.clone() for parameter in net.parameters()]
    gradient_norms(net.named_parameters(), 3 * loss_of(net))
    for parameter, gradient in zip(net.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_layers_are_named_without_the_parameters_own_name():
    net = nn.ModuleDict({"encoder": nn.Sequential(nn.Linear(2, 2))})
    norms = gradient_norms(net.named_parameters(), net["encoder"](torch.ones(1, 2)).sum())
    assert list(norms) == ["encoder.0"]


def test_a_parameter_outside_any_layer_keeps_its_name():
    scale = nn.Parameter(torch.tensor([3.0]))
    assert gradient_norms([("scale", scale)], (2 * scale).sum()) == {"scale": 2.0}


def test_frozen_parameters_are_left_out_and_unused_ones_count_as_zero(net):
    net[2].requires_grad_(False)
    unused = nn.Parameter(torch.ones(2))
    norms = gradient_norms([*net.named_parameters(), ("spare.weight", unused)], loss_of(net))
    assert list(norms) == ["0", "1", "spare"]
    assert norms["spare"] == 0


def test_without_parameters_there_are_no_norms():
    assert gradient_norms([], torch.tensor(1.0)) == {}


def test_a_gradient_that_is_not_finite_shows():
    weight = nn.Parameter(torch.tensor([0.0, 1.0]))
    assert math.isinf(gradient_norms([("a.weight", weight)], weight.sqrt().sum())["a"])
