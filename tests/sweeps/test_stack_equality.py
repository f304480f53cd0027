"""A run trained in a stack is the plain run of its config, to float tolerance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from activae.sweeps.stack.batches import Batches
from activae.sweeps.stack.stack import Stack
from activae.training.assembly import build_data, build_model
from activae.training.eager_step import EagerStep

STEPS = 52  # 13 epochs
SLOWER = "optimizer.lr=0.02"
CLIPPED = "trainer.gradient_clip_val=0.02"
DOUBLE = "trainer.precision=64-true"
LAYERS = ("encoder.normalisation=layer", "decoder.normalisation=layer")
GROUPS = ("encoder.normalisation=group", "decoder.normalisation=group")
# What its config says for each case, and for each of its three members.
CASES = {
    "relu, adam": ((), ("seed=0", "seed=1", "seed=2")),
    "tanh, sgd with decay, cosine, l1 loss": (
        # At sgd's usual lr the sign that is the l1 loss's gradient amplifies rounding.
        ("activation=tanh", "optimizer=sgd", "scheduler=cosine", "objective=l1", SLOWER),
        ("optimizer.weight_decay=0", "optimizer.weight_decay=0.01", "optimizer.lr=0.01"),
    ),
    "gelu, adamw, one cycle, bce": (
        ("activation=gelu", "optimizer=adamw", "scheduler=onecycle", "objective=bce"),
        ("optimizer.lr=1e-2", "optimizer.weight_decay=0", "optimizer.weight_decay=1"),
    ),
    "prelu, nadam with decay, warm-up": (
        ("activation=prelu", "optimizer=nadam", "scheduler.warmup=0.3"),
        ("optimizer.lr=3e-3", "optimizer.weight_decay=0.1", "seed=4"),
    ),
    "silu, momentum, huber, clipping, penalties": (
        ("activation=silu", "optimizer=momentum", "objective=huber", CLIPPED),
        ("objective.l1=1e-5", "objective.l2=1e-4", "optimizer.lr=1"),
    ),
    "a learnable snake, nesterov, decay": (
        ("activation=snake", "activation.learnable=true", "optimizer=nesterov"),
        ("optimizer.weight_decay=0.01", "optimizer.lr=0.05", "scheduler=cosine"),
    ),
    "convolutions, elu, adam with decay": (
        ("encoder=conv", "decoder=conv", "activation=elu", "optimizer.weight_decay=0.01"),
        ("seed=1", "objective.l2=1e-4", "trainer.max_steps=30"),
    ),
    "zero-inflated negative binomial, whose dispersion is learnt": (
        ("objective=zinb", "data.normalisation=none", "activation=tanh", SLOWER),
        ("optimizer.lr=1e-3", "objective.l2=1e-4", "seed=1"),
    ),
    "multinomial": (
        ("objective=multinomial", "data.normalisation=none"),
        ("optimizer.lr=1e-3", "seed=2", "seed=1"),
    ),
    # In double precision, for at Adam's first steps single precision decides the sign of gradients
    # that normalisation makes 0.
    "swiglu in residual blocks with layer normalisation, lsuv": (
        ("encoder=residual_mlp", "activation=swiglu", "init=lsuv", *LAYERS, DOUBLE),
        ("seed=1", "optimizer.lr=3e-4", "init=fitted"),
    ),
    "maxout in convolutions with group normalisation": (
        ("encoder=conv", "decoder=conv", "activation=maxout", *GROUPS, DOUBLE),
        ("seed=1", "optimizer.lr=3e-4", "init=lsuv"),
    ),
    "siren, whose frequency amplifies rounding": (
        ("activation=siren", "optimizer.lr=1e-4", DOUBLE),
        ("seed=1", "optimizer.lr=3e-5", "optimizer.weight_decay=0.1"),
    ),
    "adam with amsgrad, which has no rule": (
        ("+optimizer.amsgrad=true", "activation=softplus", "init=torch"),
        ("optimizer.lr=1e-2", "optimizer.weight_decay=0.1", "seed=1"),
    ),
    "adagrad": (
        ("optimizer=adagrad",),
        ("optimizer.lr=1e-2", "optimizer.weight_decay=0.1", "seed=1"),
    ),
    "denoising, every regulariser, penalties": (
        (
            "corruption=gaussian",
            "regulariser=[code_l1,kl_sparse,contractive,contractive_hutchinson]",
            "activation=tanh",
        ),
        ("regulariser.contractive.weight=0.01", "objective.l2=1e-4", "seed=3"),
    ),
    "pixels drawn at each step, masked": (
        ("data.source.binarise=dynamic", "objective=bce", "corruption=masking"),
        ("seed=0", "seed=1", "optimizer.lr=3e-3"),
    ),
    "masked input, convolutions": (
        ("encoder=conv", "corruption=masking", "corruption.probability=0.5"),
        ("seed=0", "seed=1", "optimizer.lr=3e-3"),
    ),
    "radam": (
        ("optimizer=radam", "activation=tanh"),
        ("optimizer.lr=1e-2", "optimizer.weight_decay=0.1", "seed=1"),
    ),
    "lion, a schedule in steps": (
        ("optimizer=lion", "optimizer.lr=1e-4", "scheduler=step"),
        ("optimizer.lr=3e-4", "optimizer.weight_decay=0.1", "seed=1"),
    ),
    "each on a plateau of its own": (
        ("scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.1"),
        ("optimizer.lr=1e-2", "scheduler.factor=0.5", "seed=1"),
    ),
    "double precision, sin": (
        ("trainer.precision=64-true", "activation=sin"),
        ("optimizer.lr=1e-2", "seed=1", "seed=2"),
    ),
}


@pytest.mark.parametrize(("shared", "own"), CASES.values(), ids=CASES)
def test_losses_and_scores_are_those_of_the_plain_run(
    shared: tuple[str, ...],
    own: tuple[str, ...],
    settled: Callable,
    runs: Any,
    plain_losses: list[float],
    stacked_losses: dict[int, list[float]],
    metrics: Callable,
    history: Callable,
) -> None:
    configs = [settled("trainer.max_epochs=13", *shared, override) for override in own]
    stacked = runs.stacked(configs)

    for place, cfg in enumerate(configs):
        plain_losses.clear()
        (plain,) = runs.plain([cfg])
        assert stacked_losses[place][:50] == pytest.approx(plain_losses[:50], rel=1e-4)
        assert len(stacked_losses[place]) == len(plain_losses) == (cfg.trainer.max_steps or STEPS)
        expected = metrics(plain)
        found = metrics(stacked[place])
        assert found["test"]["SE"] == pytest.approx(expected["test"]["SE"], rel=1e-2)
        assert found.keys() == expected.keys()
        for row, wanted in zip(history(stacked[place]), history(plain), strict=True):
            assert row == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_a_figure_of_whole_batches_is_scored_in_the_same_batches(
    settled: Callable, runs: Any, history: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many runs share the memory, and though the splits take several batches."""
    monkeypatch.setattr("activae.data.loaders.EVALUATION_ROWS", 64)
    monkeypatch.setattr("activae.sweeps.stack.stack.EVALUATION_ROWS", 64)
    common = ("trainer.max_epochs=2", "regulariser=kl_sparse", "regulariser.kl_sparse.weight=1")
    sigmoid = ("activation@encoding.activation=sigmoid", "trainer.precision=64-true")
    configs = [settled(*common, *sigmoid, f"seed={seed}") for seed in range(3)]

    for stacked, plain in zip(runs.stacked(configs), runs.plain(configs), strict=True):
        for row, wanted in zip(history(stacked), history(plain), strict=True):
            assert row == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        "nesterov",
        "momentum +optimizer.dampening=0.5",
        "adam",
        "adamw",
        "adamw +optimizer.amsgrad=true",
        "rmsprop optimizer.momentum=0.5",
        "rmsprop +optimizer.centered=true",
        "nadam",
        "nadam +optimizer.decoupled_weight_decay=true",
        "adagrad optimizer.lr_decay=0.01 +optimizer.initial_accumulator_value=0.1",
        "lion",
        "lion +optimizer.weight_decouple=false",
        "radam",
        "radam +optimizer.decoupled_weight_decay=true",
        "rmsprop optimizer._target_=torch.optim.Adadelta ~optimizer.alpha ~optimizer.momentum",
        "adam optimizer._target_=torch.optim.Adamax",
    ],
)
def test_without_the_rounding_every_optimizer_agrees_closely(
    optimizer: str,
    settled: Callable,
    runs: Any,
    plain_losses: list[float],
    stacked_losses: dict[int, list[float]],
) -> None:
    """In double precision nothing is left but what the update does."""
    shared = ("trainer.precision=64-true", *f"optimizer={optimizer}".split())
    shared += ("scheduler=onecycle", "trainer.gradient_clip_val=0.05", "objective.l2=1e-3")
    own = [("optimizer.weight_decay=0.1",), ("optimizer.lr=0.02", "objective.l1=1e-4")]
    configs = [settled(*shared, *overrides) for overrides in own]

    runs.stacked(configs)
    runs.plain(configs)

    found = stacked_losses[0] + stacked_losses[1]
    assert found == pytest.approx(plain_losses, rel=1e-7)


def test_rmsprop_which_amplifies_rounding_agrees_at_first(
    settled: Callable,
    runs: Any,
    plain_losses: list[float],
    stacked_losses: dict[int, list[float]],
    metrics: Callable,
) -> None:
    cfg = settled("optimizer=rmsprop", "optimizer.momentum=0.5", "trainer.max_epochs=13")

    (stacked,), (plain,) = runs.stacked([cfg]), runs.plain([cfg])

    assert stacked_losses[0][:10] == pytest.approx(plain_losses[:10], rel=1e-4)
    assert metrics(stacked)["val"]["SE"] == pytest.approx(metrics(plain)["val"]["SE"], rel=1e-2)


def test_members_may_differ_in_all_that_is_a_number(
    settled: Callable, runs: Any, history: Callable
) -> None:
    own = [
        ("seed=1", "data.train_fraction=0.05", "objective.l1=1e-5"),
        ("optimizer.lr=1e-2", "optimizer.weight_decay=0.1", "trainer.max_epochs=5"),
        ("data.train_fraction=0.12", "data.normalisation=standardise", "objective.l2=1e-4"),
        ("data.train_fraction=0.02", "scheduler=onecycle", "data.split_seed=3"),
        ("data.train_fraction=0.05", "trainer.max_steps=5", "seed=3"),
    ]
    linear = ("optimizer.lr=1e-3", "activation@output.activation=identity")
    configs = [settled(*linear, *overrides) for overrides in own]

    stacked, plain = runs.stacked(configs), runs.plain(configs)

    for folder, expected in zip(stacked, plain, strict=True):
        rows, wanted = history(folder), history(expected)
        assert [list(row) for row in rows] == [list(row) for row in wanted]
        for row, one in zip(rows, wanted, strict=True):
            assert row == pytest.approx(one, rel=1e-3, abs=1e-4)


def test_weights_to_start_from_and_batches_are_identical(
    settled: Callable, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [settled(f"seed={seed}") for seed in (3, 4, 5)]
    seeds: list[int] = []
    initial: dict[int, list[Tensor]] = {}
    batches: dict[int, list[Tensor]] = {3: [], 4: [], 5: []}
    build, at, take_step = Stack.__init__, Batches.at, EagerStep.__call__

    def built(self: Stack, models: Any) -> None:
        build(self, models)
        seeds.extend(model.data.seed for model in models)
        initial.update({m.data.seed: [p.clone() for p in m.net.parameters()] for m in models})

    def seen(self: Batches, step: int) -> Tensor:
        x = at(self, step)
        for seed, batch in zip(seeds, x, strict=True):
            batches[seed].append(batch)
        return x

    def watched(self: EagerStep, batch: Tensor, factor: float) -> dict[str, Tensor]:
        plain.append(batch)
        return take_step(self, batch, factor)

    monkeypatch.setattr(Stack, "__init__", built)
    monkeypatch.setattr(Batches, "at", seen)
    monkeypatch.setattr(EagerStep, "__call__", watched)
    runs.stacked(configs)

    for cfg in configs:
        plain: list[Tensor] = []
        runs.plain([cfg])
        model = build_model(cfg, build_data(cfg))
        assert _same(plain, batches[cfg.seed])
        assert _same(list(model.net.parameters()), initial[cfg.seed])


@pytest.mark.parametrize(("optimizer", "sizes"), [("adam", (1, 3, 20)), ("nadam", (1, 4))])
def test_stacks_of_any_size_agree(
    optimizer: str, sizes: tuple[int, ...], settled: Callable, runs: Any, history: Callable
) -> None:
    configs = [
        settled(f"seed={n % 5}", f"optimizer.lr={0.001 * (n + 1)}", f"optimizer={optimizer}")
        for n in range(max(sizes))
    ]

    rows = {size: [history(folder) for folder in runs.stacked(configs[:size])] for size in sizes}

    for size, members in rows.items():
        for found, expected in zip(members, rows[max(sizes)], strict=False):
            for row, wanted in zip(found, expected, strict=True):
                assert row == pytest.approx(wanted, rel=1e-4), size


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))
