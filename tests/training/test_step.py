"""A compiled step is an eager step: the same losses, weights and optimizer state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from pytorch_optimizer import Lion
from torch import Tensor, nn

from activae.activations import RReLU
from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.models.initialisation import fitted
from activae.objectives import Objective, mse
from activae.results.run import train
from activae.training.compiled_step import CompiledStep, CompileFailed, Graph
from activae.training.eager_step import EagerStep
from activae.training.optimizers import Clipping, make_optimizer
from activae.training.update_rules import rule_for

BATCH = 8
OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.5),
    "sgd with decay": partial(torch.optim.SGD, lr=0.5, weight_decay=0.01),
    "momentum": partial(torch.optim.SGD, lr=0.2, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, lr=0.2, momentum=0.9, nesterov=True),
    "adam": partial(torch.optim.Adam, lr=1e-2),
    "adam with decay": partial(torch.optim.Adam, lr=1e-2, weight_decay=0.01),
    "adamw": partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1),
    "rmsprop": partial(torch.optim.RMSprop, lr=1e-3),
    "rmsprop with momentum": partial(torch.optim.RMSprop, lr=1e-3, momentum=0.5),
    "radam": partial(torch.optim.RAdam, lr=1e-2),
    "radam with decay": partial(torch.optim.RAdam, lr=1e-2, weight_decay=0.01),
    "radam with decoupled decay": partial(
        torch.optim.RAdam, lr=1e-2, weight_decay=0.1, decoupled_weight_decay=True
    ),
    "radam that never rectifies": partial(torch.optim.RAdam, lr=1e-2, betas=(0.9, 0.6)),
    "adagrad": partial(torch.optim.Adagrad, lr=1e-2),
    "adagrad from ones, with lr and weight decay": partial(
        torch.optim.Adagrad,
        lr=1e-2,
        lr_decay=0.1,
        initial_accumulator_value=1.0,
        weight_decay=0.01,
    ),
    "lion": partial(Lion, lr=1e-3),
    "lion with decay": partial(Lion, lr=1e-3, weight_decay=0.1),
    "lion with coupled decay": partial(Lion, lr=1e-3, weight_decay=0.01, weight_decouple=False),
    "nadam, which has no rule": partial(torch.optim.NAdam, lr=1e-2),
}


def network() -> Autoencoder:
    torch.manual_seed(0)
    half = {"activation": nn.PReLU, "hidden": [6]}
    return Autoencoder(MLPEncoder((10,), 3, **half), MLPDecoder(3, (10,), **half), shape=(10,))


def batches(steps: int) -> list[Tensor]:
    """Full batches, and a short one at the end of each epoch of four."""
    generator = torch.Generator().manual_seed(1)
    sizes = [BATCH if step % 4 != 3 else 3 for step in range(steps)]
    return [torch.rand(size, 10, generator=generator) for size in sizes]


def run(step: EagerStep | CompiledStep, data: list[Tensor], first: int = 0) -> list[float]:
    """Loss of each step, with a learning rate that changes at every one."""
    losses = []
    for number, batch in enumerate(data, start=first):
        terms = step(batch, 1 / (1 + number))
        losses.append(float(sum(terms.values())))
    step.sync()
    return losses


def prepared(
    factory: partial,
    clip: Clipping | None,
    kind: str,
    graph: Graph | None = None,
    l2: float = 1e-3,
    net: Autoencoder | None = None,
) -> tuple:
    net = net or network()
    optimizer = make_optimizer(factory, net)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    objective = Objective(mse, l1=1e-4, l2=l2)
    if kind == "eager":
        return net, optimizer, EagerStep(net, objective, optimizer, clip)
    compiled = CompiledStep(
        net, objective, optimizer, clip, graph or Graph(), batch_size=BATCH, steps_taken=0
    )
    return net, optimizer, compiled


def uncompiled(step: CompiledStep) -> CompiledStep:
    """The step that would be compiled, run as it is: what the rules do needs no compiler."""
    step.graph.compiled = step.step
    return step


def assert_same_state(one: torch.optim.Optimizer, other: torch.optim.Optimizer) -> None:
    states = one.state_dict()["state"], other.state_dict()["state"]
    assert states[0].keys() == states[1].keys()
    for index, kept in states[0].items():
        assert kept.keys() == states[1][index].keys()
        for name, value in kept.items():
            if value is not None:
                torch.testing.assert_close(states[1][index][name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "clip",
    [None, Clipping(0.05), Clipping(1e-3, by_value=True)],
    ids=["unclipped", "clipped", "by value"],
)
def test_every_rule_is_its_optimizer(name: str, clip: Clipping | None) -> None:
    eager_net, eager_optimizer, eager = prepared(OPTIMIZERS[name], clip, "eager")
    net, optimizer, step = prepared(OPTIMIZERS[name], clip, "compiled")
    expected, found = run(eager, batches(12)), run(uncompiled(step), batches(12))
    assert found == pytest.approx(expected, rel=1e-5)
    for one, other in zip(eager_net.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)
    assert_same_state(eager_optimizer, optimizer)


def test_only_the_optimizers_meant_to_have_rules_have_them() -> None:
    for name, factory in OPTIMIZERS.items():
        optimizer = make_optimizer(factory, network())
        found = [rule_for(optimizer, group) is not None for group in optimizer.param_groups]
        assert all(found) is ("no rule" not in name), name


@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        (torch.optim.Adam, "amsgrad"),
        (torch.optim.Adam, "maximize"),
        (Lion, "maximize"),
        (Lion, "fixed_decay"),
        (Lion, "use_gc"),
        (Lion, "adanorm"),
        (Lion, "cautious"),
    ],
)
def test_a_variant_without_a_rule_is_left_to_its_library(kind: Any, variant: str) -> None:
    optimizer = make_optimizer(partial(kind, lr=1e-3, **{variant: True}), network())
    assert rule_for(optimizer, optimizer.param_groups[0]) is None


def test_an_optimizer_that_evaluates_the_loss_itself_is_refused() -> None:
    with pytest.raises(CompileFailed, match=r"trainer\.compile=true: LBFGS .*compile=false"):
        prepared(partial(torch.optim.LBFGS, lr=1.0), None, "compiled")


def test_a_resumed_step_goes_on_as_if_it_had_not_stopped() -> None:
    factory, data = OPTIMIZERS["adam"], batches(12)
    _, _, whole = prepared(factory, None, "compiled")
    expected = run(uncompiled(whole), data)

    net, optimizer, first = prepared(factory, None, "compiled")
    run(uncompiled(first), data[:5])
    net_state, optimizer_state = net.state_dict(), optimizer.state_dict()

    net, optimizer, _ = prepared(factory, None, "eager")
    net.load_state_dict(net_state)
    optimizer.load_state_dict(optimizer_state)
    objective = Objective(mse, l1=1e-4, l2=1e-3)
    second = CompiledStep(net, objective, optimizer, None, Graph(), batch_size=BATCH, steps_taken=5)
    assert run(uncompiled(second), data[5:], first=5) == expected[5:]


@pytest.mark.filterwarnings("default")  # the compiler's own, which change from release to release
def test_the_compiled_graph_gives_what_the_eager_step_gives() -> None:
    factory = OPTIMIZERS["adamw"]
    _, _, eager = prepared(factory, Clipping(0.05), "eager")
    _, _, compiled = prepared(factory, Clipping(0.05), "compiled")
    assert run(compiled, batches(12)) == pytest.approx(run(eager, batches(12)), rel=1e-5)
    assert compiled.graph.compiled is not None


@pytest.mark.filterwarnings("default")
def test_two_compiled_steps_keep_apart() -> None:
    _, _, slow = prepared(partial(torch.optim.SGD, lr=1e-3), None, "compiled")
    _, _, fast = prepared(partial(torch.optim.SGD, lr=0.5), None, "compiled")
    data = batches(3)
    losses = run(slow, data)[-1], run(fast, data)[-1]
    _, _, slow_eager = prepared(partial(torch.optim.SGD, lr=1e-3), None, "eager")
    _, _, fast_eager = prepared(partial(torch.optim.SGD, lr=0.5), None, "eager")
    assert losses == pytest.approx((run(slow_eager, data)[-1], run(fast_eager, data)[-1]), rel=1e-5)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "name", ["sgd with decay", "adam with decay", "adamw", "rmsprop", "lion with decay"]
)
def test_one_graph_serves_runs_that_differ_in_what_it_is_given(name: str) -> None:
    graph, data = Graph(), batches(6)
    strengths = [(0.01, 1e-3), (0.03, 5e-3)]  # of weight decay and of l2
    graphs = []
    for number, (decay, l2) in enumerate(strengths, start=1):
        decays = {"weight_decay": decay} if name != "rmsprop" else {}
        factory = partial(OPTIMIZERS[name], lr=1e-3 * number, **decays)
        net, _, shared = prepared(factory, Clipping(0.05), "compiled", graph, l2)
        alone, _, eager = prepared(factory, Clipping(0.05), "eager", l2=l2)

        assert run(shared, data) == pytest.approx(run(eager, data), rel=1e-5)
        for one, other in zip(alone.parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)
        graphs.append(graph.compiled)
    assert graphs[0] is graphs[1] is not None


def test_random_numbers_are_those_of_an_eager_step() -> None:
    """Of dropout and RReLU: else a compiled run would not be the plain one, nor resume as it."""
    losses = {}
    for kind in ("eager", "compiled"):
        half = {"activation": RReLU, "hidden": [6], "dropout": 0.3}
        net = Autoencoder(MLPEncoder((10,), 3, **half), MLPDecoder(3, (10,), **half), shape=(10,))
        fitted(net, seed=0)
        step = prepared(OPTIMIZERS["adam"], None, kind, net=net)[2]
        torch.manual_seed(3)
        losses[kind] = run(step, batches(6))

    assert losses["compiled"] == pytest.approx(losses["eager"], rel=1e-5)


def test_a_network_with_buffers_is_refused_before_anything_is_compiled() -> None:
    half = {"activation": nn.ReLU, "hidden": [6]}
    encoder = MLPEncoder((10,), 3, **half, normalisation="batch")
    net = Autoencoder(encoder, MLPDecoder(3, (10,), **half), shape=(10,))

    with pytest.raises(CompileFailed, match=r"encoder\.normalisation1\.running_mean is a buffer"):
        prepared(OPTIMIZERS["adam"], None, "compiled", net=net)


def test_a_batch_that_is_the_whole_of_the_split_is_compiled_too(
    compose: Callable[..., DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def compiled(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        def counted(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            return function(*args)

        return counted

    monkeypatch.setattr(torch, "compile", compiled)  # which takes seconds
    quick = ("trainer=cpu", "logger=minimal", "data.train_fraction=0.1", "data.batch_size=9999")

    train(compose(*quick, "trainer.max_epochs=3", "trainer.compile=true"), tmp_path)

    assert calls == 3
