"""One optimizer step: clipping, learning-rate factor, and what autocast must not remember."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from pytorch_optimizer import Lion
from torch import nn

from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.objectives import Objective, mse
from activae.objectives.declared import total
from activae.training.eager_step import EagerStep, needs_closure
from activae.training.optimizers import Clipping, make_optimizer


def small_network() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        MLPEncoder((12,), 3, hidden=[8], activation=nn.Tanh),
        MLPDecoder(3, (12,), hidden=[8], activation=nn.Tanh),
        shape=(12,),
    )


def eager_step(net: Autoencoder, lr: float, clip: Clipping | None = None) -> EagerStep:
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

    eager_step(net, lr=2.0, clip=Clipping(0.01))(x, factor)

    moved = [(p - old).flatten() for p, old in zip(net.parameters(), before, strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(2.0 * factor * 0.01, rel=1e-3)


def test_gradients_below_the_bound_stay_as_they_are() -> None:
    nets = [small_network(), small_network()]
    x = torch.rand(16, 12)

    eager_step(nets[0], lr=0.1, clip=Clipping(1e6))(x, 1.0)
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


def searching_step(net: Autoencoder, clip: Clipping | None = None, **chosen: Any) -> EagerStep:
    chosen = {"lr": 1.0, "line_search_fn": "strong_wolfe", "history_size": 4, **chosen}
    optimizer = make_optimizer(partial(torch.optim.LBFGS, **chosen), net)
    optimizer.param_groups[0]["initial_lr"] = optimizer.param_groups[0]["lr"]
    return EagerStep(net, Objective(mse, l1=0.0, l2=0.0), optimizer, clip)


def test_lbfgs_alone_evaluates_the_loss_itself() -> None:
    net = small_network()

    assert needs_closure(torch.optim.LBFGS(net.parameters()))
    assert not any(
        needs_closure(kind(net.parameters(), lr=1.0))
        for kind in (torch.optim.Adam, torch.optim.SGD, torch.optim.Adagrad, Lion)
    )


def test_a_step_that_searches_is_lbfgs_own() -> None:
    nets, x = [small_network(), small_network()], torch.rand(16, 12)
    theirs = torch.optim.LBFGS(nets[0].parameters(), 0.5, 6, line_search_fn="strong_wolfe")

    def closure() -> float:
        theirs.zero_grad()
        loss = mse(nets[0], x)
        loss.backward()
        return loss.item()

    losses = [theirs.step(closure) for _ in range(4)]
    ours = searching_step(nets[1], max_iter=6, history_size=100)
    terms = [ours(x, 0.5) for _ in range(4)]

    assert [term["reconstruction"].item() for term in terms] == losses
    assert losses[-1] < 0.5 * losses[0]
    assert all(map(torch.equal, *(net.parameters() for net in nets)))
    assert all(parameter.grad is None for parameter in nets[1].parameters())


def test_a_line_is_searched_in_one_function_whatever_the_noise() -> None:
    """The step draws as many random numbers as one evaluation of the loss."""
    net, x = small_network(), torch.rand(16, 12)
    drawn = []

    class Noise(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            drawn.append(torch.rand_like(z))
            return z * (0.5 + drawn[-1])

    net.code_activation = Noise()
    step = searching_step(net, max_iter=3)
    torch.manual_seed(3)
    step(x, 1.0)
    after = torch.rand(1)

    assert len(drawn) > 2
    assert all(noise.equal(drawn[0]) for noise in drawn)
    torch.manual_seed(3)
    assert torch.rand_like(drawn[0]).equal(drawn[0])
    assert torch.rand(1).equal(after)


def test_a_line_search_sees_clipped_gradients() -> None:
    net, x = small_network(), 10 * torch.rand(16, 12)
    before = [p.detach().clone() for p in net.parameters()]

    searching_step(net, clip=Clipping(0.01), max_iter=1, line_search_fn=None, lr=0.5)(x, 1.0)

    # The first direction is minus the gradient, and its length lr as long as that one is small.
    moved = [(p - old).flatten() for p, old in zip(net.parameters(), before, strict=True)]
    assert torch.cat(moved).norm().item() == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_under_autocast_a_search_sees_the_weights_it_tries() -> None:
    net, x = small_network(), torch.rand(16, 12)

    with torch.autocast("cpu", torch.bfloat16):
        step = searching_step(net, max_iter=5)
        losses = [step(x, 1.0)["reconstruction"].item() for _ in range(4)]

    assert losses[-1] < 0.5 * losses[0]


def test_the_total_is_the_sum_of_the_terms() -> None:
    terms = {"a": torch.tensor(1.0), "b": torch.tensor(2.0), "c": torch.tensor(4.0)}

    assert total(terms).item() == 7.0
    assert total({"a": terms["a"]}) is terms["a"]
