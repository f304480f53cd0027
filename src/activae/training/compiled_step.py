"""The functional step of one network as one compiled graph: forward, backward, clipping, update."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import torch

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.batch import Batch, samples_of
from activae.objectives.declared import Objective, Terms
from activae.training.eager_step import needs_closure
from activae.training.optimizers import Clipping
from activae.training.step import FunctionalStep, unwritten_buffer


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


class CompiledStep(FunctionalStep):
    """Does what `EagerStep` does, as one compiled graph for batches of `batch_size`.

    A short last batch goes through the same function uncompiled: a graph of its own would take
    seconds to compile. An optimizer without a rule takes its own step after the compiled gradient.
    Random numbers, of dropout for one, are those that a plain step draws. Raises CompileFailed, a
    ConfigError, for a network with buffers that the graph would not update, for an optimizer that
    evaluates the loss itself, as often as its line search takes, and where torch.compile fails.

    `graph` holds the compiled graph or is given it; `steps_taken` is how many steps the optimizer
    has taken, for a resumed run.
    """

    def __init__(
        self,
        net: Autoencoder,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        clipping: Clipping | None,
        graph: Graph,
        player_optimizer: torch.optim.Optimizer | None = None,
        *,
        batch_size: int,
        steps_taken: int,
    ) -> None:
        name = unwritten_buffer(net)
        if name is not None:
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
        players = () if player_optimizer is None else (player_optimizer,)
        super().__init__([net], [objective], [optimizer], clipping, players)
        self.batch_size = batch_size
        self.steps_taken = steps_taken
        self.graph = graph

    def __call__(
        self, batch: Batch, factor: float, strengths: Sequence[float] | None = None
    ) -> Terms:
        """Take a step on a batch of samples with `factor` times lr; return the terms.

        strengths: the objective's, in the place of those it declares.
        """
        self.steps_taken += 1
        flat = self.flats["net"]
        scalars = {}
        for name, trainee in self.trainees.items():
            trainee.set_lr(0, factor)
            numbers = trainee.scalars(factor, self.steps_taken)
            scalars[name] = torch.tensor(numbers, dtype=flat.dtype, device=flat.device)
        step = self._compiled() if len(samples_of(batch)) == self.batch_size else self.step
        given = self.constant if strengths is None else flat.new_tensor(strengths)
        assert given is not None, "strengths that depend on the step are given with it"
        terms, gradients = self.take(step, scalars, given, batch)
        for name, gradient in gradients.items():
            self.trainees[name].step(gradient, None)
        torch.clear_autocast_cache()  # a short batch's bf16 copies of the weights
        return terms

    def sync(self) -> None:
        """Write the number of steps into the optimizer's state, where it keeps one."""
        for trainee in self.trainees.values():
            trainee.sync(0, self.steps_taken)

    def _compiled(self) -> Callable[..., Any]:
        """The compiled step, without guards: they would cost a twentieth of the step.

        All that they watch over is the same for the runs that share a graph: shapes, types, mode,
        hyper-parameters. dynamo keeps its graphs by code object, so each graph is that of a copy of
        its own, or one would run another's.
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
                    # A tenth less time a step than calling kernels from Python.
                    "cpp_wrapper": self.flats["net"].device.type == "cpu",
                },
            )
            self.graph.compiled = _explaining(graph)
        return self.graph.compiled


def load_compiler() -> None:
    """Import what the first compilation would, so that processes forked afterwards need not."""
    import torch._dynamo
    import torch._inductor.compile_fx  # noqa: F401


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
