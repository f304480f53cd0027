import pytest
import torch
from torch import nn

from activae.results.diagnostics import activation_statistics


def statistics(activation, z):
    return activation_statistics({"a": activation}, lambda: activation(z))["a"]


def test_a_relu_is_dead_where_every_sample_is_negative():
    z = torch.tensor([[-1.0, -1.0, 1.0, 1.0], [-2.0, 3.0, 1.0, -1.0]])
    found = statistics(nn.ReLU(), z)
    assert found.dead_fraction == 1 / 4  # the first unit alone
    assert found.saturated_fraction == 4 / 8  # each negative input


def test_a_relu_is_not_dead_for_want_of_one_sample():
    z = torch.full((100, 1), -1.0)
    assert statistics(nn.ReLU(), z).dead_fraction == 1
    z[57] = 1
    found = statistics(nn.ReLU(), z)
    assert found.dead_fraction == 0
    assert found.saturated_fraction == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("activation", "edge"),
    [(nn.Tanh(), 2.178), (nn.Sigmoid(), 4.357)],  # where f' is 5% of f'(0)
    ids=["tanh", "sigmoid"],
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_sigmoids_saturate_at_five_percent_of_their_steepest_slope(activation, edge, sign):
    z = sign * torch.tensor([[edge - 0.01], [edge + 0.01]])
    found = statistics(activation, z)
    assert found.saturated_fraction == 0.5
    assert found.dead_fraction == 0


@pytest.mark.parametrize("activation", [nn.Identity(), nn.LeakyReLU(0.2), nn.Softsign()])
def test_what_never_flattens_is_neither_dead_nor_saturated(activation):
    found = statistics(activation, torch.linspace(-3, 3, 60).view(20, 3))
    assert (found.dead_fraction, found.saturated_fraction) == (0, 0)


def test_a_unit_of_a_map_is_a_channel_at_a_position():
    z = torch.ones(5, 2, 3, 3)
    z[:, 1, 0, 0] = -1  # one of 18 units
    assert statistics(nn.ReLU(), z).dead_fraction == pytest.approx(1 / 18)


def test_parameters_by_channel_are_measured_by_channel():
    prelu = nn.PReLU(2)
    with torch.no_grad():
        prelu.weight.copy_(torch.tensor([0.01, 0.5]))
    found = statistics(prelu, torch.full((4, 2, 3, 3), -1.0))
    assert found.saturated_fraction == 0.5  # the first channel: .01 < 5% of 1
    assert found.dead_fraction == 0


def test_a_pole_of_the_slope_does_not_make_the_rest_look_flat():
    class Root(nn.Module):
        def forward(self, z):
            return z.sign() * z.abs().sqrt()

    assert statistics(Root(), torch.ones(3, 2)).saturated_fraction == 0


def test_layers_of_a_network_are_described_in_one_forward_without_gradients():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 4), nn.Tanh())
    x = torch.randn(7, 6)
    calls = []

    def forward():
        calls.append(torch.is_grad_enabled())
        return net(x)

    found = activation_statistics({"first": net[1], "second": net[3]}, forward)
    assert calls == [False]
    assert list(found) == ["first", "second"]
    torch.testing.assert_close(found["first"].outputs, net[:2](x).flatten().detach())
    torch.testing.assert_close(found["second"].outputs, net(x).flatten().detach())
    assert not any(layer.outputs.requires_grad for layer in found.values())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_an_in_place_activation_is_judged_by_what_went_in():
    # SiLU maps -5 to -.03, where its slope is large; at -5 it is -.026, below 5% of 1.1.
    z = torch.full((2, 1), -5.0)
    assert statistics(nn.SiLU(inplace=True), z).saturated_fraction == 1


def test_no_hook_stays_behind_even_when_the_forward_fails():
    activation = nn.Tanh()

    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        activation_statistics({"a": activation}, fail)
    statistics(activation, torch.ones(1, 1))
    assert not activation._forward_hooks
    assert not activation._forward_pre_hooks


def test_a_network_without_activations_has_no_statistics():
    assert activation_statistics({}, lambda: None) == {}


def test_an_activation_that_did_not_run_is_a_mistake_in_the_caller():
    with pytest.raises(AssertionError, match="'a'"):
        activation_statistics({"a": nn.ReLU()}, lambda: None)
