"""The whole optimizer step as one compiled graph: forward, backward, clipping, update."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives import AnyObjective, strengths_of, total
from activae.objectives.batch import Batch, samples_of
from activae.training.steps import needs_closure
from activae.training.update_rules import Rule, rule_for

Terms = dict[str, Tensor]


class CompileFailed(ConfigError):
    """torch.compile cannot make a graph of the step; nothing was changed."""


class Graph:
    """A compiled step, from the moment that the first of the runs sharing it has needed one.

    The runs may differ in all that is an input of the step: parameters, optimizer state, learning
    rate, the strengths of weight decay and penalties. They agree in everything else.
    """

    def __init__(self) -> None:
        self.compiled: Callable[..., Any] | None = None
        self.phases: dict[str, Graph] = {}

    def slot(self, phase: str) -> Graph:
        """The graph of a phase of the run, of which there may be several."""
        return self.phases.setdefault(phase, Graph())


class CompiledStep:
    """Does what `EagerStep` does, as one compiled graph for batches of `batch_size`.

    A short last batch goes through the same functions uncompiled: a graph of its own would take
    seconds to compile. The optimizer's tensors hold the state, so that its state_dict() is the
    usual one after `sync()`. An optimizer without a rule takes its own step after the compiled
    gradient. Random numbers, of dropout for one, are those that a plain step draws. Raises
    CompileFailed, a ConfigError, for a network with buffers, which the graph would not update, for
    an optimizer that evaluates the loss itself, as often as its line search takes, and where
    torch.compile fails.

    `graph` holds the compiled graph or is given it; `steps_taken` is how many steps the optimizer
    has taken, for a resumed run.
    """

    def __init__(
        self,
        net: Autoencoder,
        objective: AnyObjective,
        optimizer: torch.optim.Optimizer,
        clip_norm: float | None,
        graph: Graph,
        *,
        batch_size: int,
        steps_taken: int,
    ) -> None:
        for name, _ in net.named_buffers():
            raise CompileFailed(
                f"trainer.compile=true: {name} is a buffer, which training may change (as it does "
                "those of BatchNorm), and a compiled step changes parameters alone; use "
                "trainer.compile=false"
            )
        if needs_closure(optimizer):
            raise CompileFailed(
                f"trainer.compile=true: {type(optimizer).__name__} evaluates the loss as often as "
                "its line search takes, which makes no one graph: use trainer.compile=false"
            )
        self.optimizer = optimizer
        self.batch_size = batch_size
        self.steps_taken = steps_taken
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.rules = _rules(optimizer)
        named = {name: p for name, p in net.named_parameters() if p.requires_grad}
        self.leaves = list(named.values())
        self.parameters = [leaf.detach() for leaf in self.leaves]  # the same memory, no graph
        # Given with each step, for a graph must not keep those of the run that it was made for.
        self.frozen = {name: p for name, p in net.named_parameters() if not p.requires_grad}
        self.group_of = _group_of(self.leaves, optimizer)
        self.state = [
            _state_of(optimizer, leaf, self.rules[group])
            for leaf, group in zip(self.leaves, self.group_of, strict=True)
        ]
        # As inputs of the graph they do not make it another.
        self.strengths = self.leaves[0].new_tensor(strengths_of(objective))
        gradient = _gradient(_Loss(net, objective), list(named), clip_norm)
        self.step = _whole_step(gradient, self.rules, self.group_of)
        self.graph = graph

    def __call__(self, batch: Batch, factor: float) -> Terms:
        """Take a step on a batch of samples with `factor` times lr; return the terms."""
        self.steps_taken += 1
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor
        step = self._compiled() if len(samples_of(batch)) == self.batch_size else self.step
        terms, gradients = step(
            self.parameters, self.frozen, self.state, self._scalars(), self.strengths, batch
        )
        if gradients is not None:
            for leaf, gradient in zip(self.leaves, gradients, strict=True):
                leaf.grad = gradient
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        torch.clear_autocast_cache()  # a short batch's bf16 copies of the weights
        return terms

    def sync(self) -> None:
        """Write the number of steps into the optimizer's state, where it keeps one."""
        for leaf, group in zip(self.leaves, self.group_of, strict=True):
            rule = self.rules[group]
            if rule is not None:
                rule.write_count(self.optimizer, [leaf], self.steps_taken)

    def _scalars(self) -> list[Tensor]:
        """What each parameter group's rule needs of this step."""
        return [
            torch.tensor(rule.scalars(group["lr"], self.steps_taken) if rule else [])
            for rule, group in zip(self.rules, self.optimizer.param_groups, strict=True)
        ]

    def _compiled(self) -> Callable[..., Any]:
        """The compiled step, without guards: they would cost a twentieth of the step.

        All that they watch over is the same for the runs that share a graph: shapes, types, mode,
        hyper-parameters. dynamo keeps its graphs by code object, so each graph is that of a copy of
        its own, lest one run another's.
        """
        if self.graph.compiled is None:
            step = self.step
            assert isinstance(step, types.FunctionType)
            own = types.FunctionType(
                step.__code__.replace(), step.__globals__, step.__name__, None, step.__closure__
            )
            graph = torch.compile(
                own,
                fullgraph=True,
                dynamic=False,
                options={
                    "guard_filter_fn": lambda guards: [False for _ in guards],
                    "fallback_random": True,  # the numbers that a plain step draws
                },
            )
            self.graph.compiled = _explaining(graph)
        return self.graph.compiled


class _Loss(nn.Module):
    """The objective as a module, so that functional_call can lend it other parameters."""

    def __init__(self, net: Autoencoder, objective: AnyObjective) -> None:
        super().__init__()
        self.net = net
        self.objective = objective

    def forward(self, batch: Batch, strengths: Tensor) -> Terms:
        if strengths.numel():
            return self.objective(self.net, batch, strengths)  # type: ignore[call-arg]
        return self.objective(self.net, batch)


def _gradient(loss: _Loss, names: Sequence[str], clip_norm: float | None) -> Callable[..., Any]:
    """(parameters, frozen ones, strengths, batch) -> (terms, gradients clipped by their norm)."""

    def objective(
        parameters: dict[str, Tensor], fixed: dict[str, Tensor], strengths: Tensor, batch: Batch
    ) -> tuple[Tensor, Terms]:
        terms: Terms = functional_call(loss, parameters | fixed, (batch, strengths))
        return total(terms), terms

    def gradient(
        parameters: Sequence[Tensor],
        frozen: dict[str, Tensor],
        strengths: Tensor,
        batch: Batch,
    ) -> tuple[Terms, list[Tensor]]:
        lent = {f"net.{name}": p for name, p in zip(names, parameters, strict=True)}
        fixed = {f"net.{name}": p for name, p in frozen.items()}
        by_name, (_, terms) = grad_and_value(objective, has_aux=True)(lent, fixed, strengths, batch)
        gradients = list(by_name.values())
        if clip_norm is not None:
            norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
            gradients = [g * (clip_norm / (norm + 1e-6)).clamp(max=1.0) for g in gradients]
        return terms, gradients

    return gradient


def _whole_step(
    gradient: Callable[..., Any], rules: Sequence[Rule | None], group_of: Sequence[int]
) -> Callable[..., Any]:
    """(parameters, frozen, state, scalars, strengths, batch) -> terms, and unused gradients."""

    def step(
        parameters: list[Tensor],
        frozen: dict[str, Tensor],
        state: list[list[Tensor]],
        scalars: list[Tensor],
        strengths: Tensor,
        batch: Batch,
    ) -> tuple[Terms, list[Tensor] | None]:
        terms, gradients = gradient(parameters, frozen, strengths, batch)
        if rules[0] is None:
            return terms, gradients
        for p, g, kept, group in zip(parameters, gradients, state, group_of, strict=True):
            rules[group].update(p, g, kept, scalars[group])  # type: ignore[union-attr]
        return terms, None

    return step


def _rules(optimizer: torch.optim.Optimizer) -> list[Rule | None]:
    """A rule for every parameter group, or none for any."""
    rules = [rule_for(optimizer, group) for group in optimizer.param_groups]
    return rules if all(rules) else [None for _ in rules]


def _group_of(leaves: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> list[int]:
    numbers = {
        id(p): number
        for number, group in enumerate(optimizer.param_groups)
        for p in group["params"]
    }
    return [numbers[id(leaf)] for leaf in leaves]


def _state_of(optimizer: torch.optim.Optimizer, leaf: Tensor, rule: Rule | None) -> list[Tensor]:
    """The optimizer's own tensors for a parameter, made where it has none yet."""
    names = rule.state if rule else ()
    kept = optimizer.state[leaf] if names else {}
    return [kept.setdefault(name, torch.zeros_like(leaf.detach())) for name in names]


def _explaining(graph: Callable[..., Any]) -> Callable[..., Any]:
    """The first call compiles: say what to do where the machine cannot."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    def call(*args: Any) -> Any:
        try:
            return graph(*args)
        except (TorchDynamoException, InductorError) as error:
            raise CompileFailed(
                f"trainer.compile=true: torch.compile failed ({str(error).splitlines()[0]}); it "
                "needs a C++ compiler, and operations that it can trace: use trainer.compile=false"
            ) from error

    return call
