"""One optimizer step: clipping, learning-rate factor, and what autocast must not remember."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.objectives import Objective, mse
from activae.optimizers import make_optimizer
from activae.steps import EagerStep, total


def small_network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        MLPEncoder((12,), 3, hidden=[8], activation=nn.Tanh),
        MLPDecoder(3, (12,), hidden=[8], activation=nn.Tanh),
        shape=(12,),
    )


def eager_step(net: Autoencoder, lr: float, clip: float | None = None) -> EagerStep:
    optimizer = make_optimizer(partial(torch.optim.SGD, lr=lr), net)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return EagerStep(net, Objective(mse, l1=0.0, l2=0.0), optimizer, clip)


def test_a_second_step_under_autocast_uses_the_weights_of_the_first() -> None:
    net, x = small_network(), torch.rand(16, 12)
    step = eager_step(net, lr=1.0)

    with torch.autocast("cpu", torch.bfloat16):
        first = step(x, 1.0)["reconstruction"]
        second = step(x, 0.0)["reconstruction"]
    with torch.autocast("cpu", torch.bfloat16):
        expected = mse(net, x)

    assert second < 0.9 * first
    torch.testing.assert_close(second, expected)


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_clipping_bounds_the_norm_of_the_gradient(factor: float) -> None:
    net, x = small_network(), 10 * torch.rand(16, 12)
    before = [p.detach().clone() for p in net.parameters()]

    eager_step(net, lr=2.0, clip=0.01)(x, factor)

    moved = [(p - old).flatten() for p, old in zip(net.parameters(), before, strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(2.0 * factor * 0.01, rel=1e-3)


def test_gradients_below_the_bound_stay_as_they_are() -> None:
    nets = [small_network(), small_network()]
    x = torch.rand(16, 12)

    eager_step(nets[0], lr=0.1, clip=1e6)(x, 1.0)
    eager_step(nets[1], lr=0.1)(x, 1.0)

    assert all(map(torch.equal, nets[0].parameters(), nets[1].parameters()))


def test_the_factor_scales_the_learning_rate_of_each_step() -> None:
    net, x = small_network(), torch.rand(16, 12)
    step = eager_step(net, lr=0.5)

    rates = []
    for factor in (1.0, 0.25, 0.25, 1.0):
        step(x, factor)
        rates += [group["lr"] for group in step.optimizer.param_groups]

    assert rates == [0.5, 0.125, 0.125, 0.5]


def test_a_factor_of_zero_moves_nothing() -> None:
    net = small_network()
    before = [p.detach().clone() for p in net.parameters()]

    eager_step(net, lr=0.5)(torch.rand(16, 12), 0.0)

    assert all(map(torch.equal, net.parameters(), before))


def test_terms_are_those_before_the_update_and_carry_no_graph() -> None:
    net, x = small_network(), torch.rand(16, 12)
    expected = mse(net, x).item()

    terms = eager_step(net, lr=0.5)(x, 1.0)

    assert terms["reconstruction"].item() == expected
    assert not terms["reconstruction"].requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_total_is_the_sum_of_the_terms() -> None:
    terms = {"a": torch.tensor(1.0), "b": torch.tensor(2.0), "c": torch.tensor(4.0)}

    assert total(terms).item() == 7.0
    assert total({"a": terms["a"]}) is terms["a"]
