"""What an optimizer is given: only weights decay, and one call updates all."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from activae.activations import Snake
from activae.config.instantiating import build
from activae.config.settling import container
from activae.errors import ConfigError
from activae.models import Autoencoder, ConvEncoder, MLPDecoder
from activae.training.optimizers import check_state, make_optimizer

CONFIGS = Path(__file__).parents[2] / "configs"
OPTIMIZERS = sorted(  # those that know weight decay
    path.stem
    for path in (CONFIGS / "optimizer").glob("*.yaml")
    if "weight_decay:" in path.read_text()
)


def network() -> Autoencoder:
    torch.manual_seed(0)
    shape = (1, 4, 4)
    return Autoencoder(
        ConvEncoder(shape, 3, channels=[4], activation=nn.PReLU),
        MLPDecoder(3, shape, hidden=[5], activation=partial(Snake, learnable=True)),
        shape=shape,
    )


def decays(optimizer: torch.optim.Optimizer, net: nn.Module) -> dict[str, float]:
    """Parameter name -> the weight decay it gets."""
    names = {id(p): name for name, p in net.named_parameters()}
    return {
        names[id(p)]: group["weight_decay"]
        for group in optimizer.param_groups
        for p in group["params"]
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_decay_and_nothing_else(name: str, compose: Callable[..., DictConfig]) -> None:
    cfg = compose(f"optimizer={name}", "optimizer.weight_decay=0.1")
    net = network()

    found = decays(make_optimizer(build(container(cfg.optimizer), "optimizer"), net), net)

    assert found.keys() == dict(net.named_parameters()).keys()
    weights = {weight for weight, _ in net.weights()}
    assert {parameter for parameter, decay in found.items() if decay == 0.1} == weights
    assert {parameter for parameter, decay in found.items() if decay == 0} == found.keys() - weights


def test_an_optimizers_own_default_decay_spares_biases_too() -> None:
    net = network()

    found = decays(make_optimizer(torch.optim.AdamW, net), net)

    assert found["encoder.layer1.weight"] == 0.01
    assert found["encoder.layer1.bias"] == found["encoder.activation1.weight"] == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_without_gradient_shrinks_weights_alone(
    name: str, compose: Callable[..., DictConfig]
) -> None:
    cfg = compose(f"optimizer={name}", "optimizer.weight_decay=0.1")
    net = network()
    before = {key: p.detach().clone() for key, p in net.named_parameters()}
    optimizer = make_optimizer(build(container(cfg.optimizer), "optimizer"), net)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)

    optimizer.step()

    weights = {weight for weight, _ in net.weights()}
    moved = {key for key, p in net.named_parameters() if not p.equal(before[key])}
    assert moved == weights


def test_without_decay_one_group_holds_every_parameter() -> None:
    net = network()

    (group,) = make_optimizer(partial(torch.optim.SGD, lr=0.1), net).param_groups

    assert len(group["params"]) == len(list(net.parameters()))


@pytest.mark.parametrize(
    ("factory", "way"),
    [
        (torch.optim.SGD, {"fused": True}),
        (torch.optim.Adam, {"fused": True}),
        (torch.optim.RMSprop, {"foreach": True}),
        (partial(torch.optim.Adam, foreach=True), {"foreach": True, "fused": None}),
        (partial(torch.optim.Adam, fused=False), {"fused": False}),
    ],
)
def test_all_parameters_are_updated_in_one_call_unless_said_otherwise(
    factory: Callable[..., Any], way: dict[str, bool | None]
) -> None:
    (group,) = make_optimizer(factory, network()).param_groups

    assert {key: group[key] for key in way} == way


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop])
def test_the_one_call_update_is_the_plain_one(kind: Any) -> None:
    nets = [network().double() for _ in range(2)]
    fast = make_optimizer(partial(kind, lr=0.01), nets[0])
    plain = kind(nets[1].parameters(), lr=0.01, foreach=False)
    x = torch.rand(3, 1, 4, 4, dtype=torch.float64)

    for net, optimizer in zip(nets, (fast, plain), strict=True):
        for _ in range(3):
            optimizer.zero_grad()
            (net(x) - x).square().mean().backward()
            optimizer.step()

    for ours, theirs in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"line_search_fn": "wolfe"}, "line_search_fn=wolfe: must be strong_wolfe or null"),
        ({"max_iter": 0}, "max_iter=0: must be a whole number of 1 or more"),
        ({"max_eval": -1}, "max_eval=-1"),
        ({"history_size": 0}, "history_size=0"),
    ],
)
def test_what_lbfgs_would_refuse_only_later_is_refused_now(
    chosen: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=f"^optimizer.{said}"):
        make_optimizer(partial(torch.optim.LBFGS, **chosen), network())


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_both_ways_of_lbfgs_to_choose_a_length_are_accepted(search: str | None) -> None:
    make_optimizer(partial(torch.optim.LBFGS, line_search_fn=search), network())


ALL = sorted(path.stem for path in (CONFIGS / "optimizer").glob("*.yaml"))


def stepped(name: str, compose: Callable[..., DictConfig]) -> torch.optim.Optimizer:
    cfg = compose(f"optimizer={name}")
    net = network()
    optimizer = make_optimizer(build(container(cfg.optimizer), "optimizer"), net)

    def closure() -> float:
        optimizer.zero_grad()
        loss = net(torch.ones(2, 1, 4, 4)).square().sum()
        loss.backward()
        return loss.item()

    for _ in range(3):
        closure()
        optimizer.step(closure)  # type: ignore[arg-type]
    return optimizer


@pytest.mark.parametrize("name", ALL)
def test_the_state_of_an_optimizer_is_its_own(
    name: str, compose: Callable[..., DictConfig]
) -> None:
    check_state(stepped(name, compose))


@pytest.mark.parametrize("name", [name for name in ALL if name != "sgd"])  # which has none
def test_a_state_of_other_shapes_is_refused(name: str, compose: Callable[..., DictConfig]) -> None:
    optimizer = stepped(name, compose)
    state = next(state for state in optimizer.state.values() if state)
    kept = next(name for name, v in state.items() if isinstance(v, torch.Tensor) and v.ndim)
    state[kept] = torch.cat([state[kept].flatten(), torch.zeros(1)])

    with pytest.raises(ValueError, match=r"the optimizer's .* shape"):
        check_state(optimizer)
