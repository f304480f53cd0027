"""One optimizer step by torch's own means: loss, gradients, clipping, update.

The functional step (`training/step.py`) is tested against it; it serves what needs Python.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.amp import GradScaler

from activae.errors import ConfigError
from activae.models import Autoencoder
from activae.objectives.batch import Batch, samples_of
from activae.objectives.declared import Objective, Terms, evaluated, player_of, total
from activae.training.optimizers import Clipping


class EagerStep:
    """Takes a step of the optimizer on each batch it is called with.

    An optimizer that searches along a line (LBFGS) is given a function that evaluates the loss
    anew: with the gradient clipped as any other's, and with the same random numbers at every
    evaluation of a step, because a line search needs one function.

    scaler: multiplies the loss, so that small gradients are not 0 in float16 (Micikevicius et al.
    2018, Mixed precision training); a step whose gradients overflow changes no weight.
    """

    def __init__(
        self,
        net: Autoencoder,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        clipping: Clipping | None,
        player_optimizer: torch.optim.Optimizer | None = None,
        scaler: GradScaler | None = None,
    ) -> None:
        self.net = net
        self.objective = objective
        self.optimizer = optimizer
        self.clipping = clipping
        self.player = player_of(objective)
        self.player_optimizer = player_optimizer
        self.scaler = scaler
        self.strengths: Tensor | None = None
        self.updates: Mapping[str, Tensor] = {}  # new values of the network's buffers
        self.parameters = [p for p in net.parameters() if p.requires_grad]
        optimizers = [optimizer] if player_optimizer is None else [optimizer, player_optimizer]
        self.groups = [group for each in optimizers for group in each.param_groups]
        self.searches = needs_closure(optimizer)
        if self.searches and scaler is not None:
            raise ConfigError(
                f"trainer.precision=16-mixed: {type(optimizer).__name__} evaluates the loss "
                "several times a step, which no scale of it is for; use bf16-mixed or 32-true"
            )
        self.factor = 1.0
        self._set_lr(1.0)

    def __call__(
        self, batch: Batch, factor: float, strengths: Sequence[float] | None = None
    ) -> Terms:
        """Take a step on a batch of samples with `factor` times lr; return the terms, detached.

        strengths: the objective's, in the place of those it declares.
        """
        if factor != self.factor:
            self._set_lr(factor)
        if strengths is not None:
            self.strengths = self.parameters[0].new_tensor(strengths)
        if self.player_optimizer is not None:
            self._play(batch, self.player_optimizer)
        if self.searches:
            terms = self._search(batch)
        else:
            terms = self._differentiate(batch)
            self._update(self.optimizer)
        self.optimizer.zero_grad(set_to_none=True)
        if self.scaler is not None:
            self.scaler.update()
        # Autocast keeps the bf16 copies of the weights for as long as its context is open, and
        # the context spans many of these steps.
        torch.clear_autocast_cache()
        with torch.no_grad():
            for name, value in self.updates.items():
                self.net.get_buffer(name).copy_(value)
        return {name: term.detach() for name, term in terms.items()}

    def _play(self, batch: Batch, optimizer: torch.optim.Optimizer) -> None:
        """Let the player take its step first."""
        assert self.player is not None
        parameters = list(self.player.module.parameters())
        loss = self._scaled(self.player.loss(self.player.module, self.net, batch))
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self._update(optimizer)
        optimizer.zero_grad(set_to_none=True)
        torch.clear_autocast_cache()

    def _differentiate(self, batch: Batch) -> Terms:
        """The terms, once the parameters hold the clipped gradient of their sum."""
        terms = self._backward(batch)
        if self.clipping is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)  # the limit is that of the gradient itself
            self.clipping.apply(self.parameters)
        return terms

    def _backward(self, batch: Batch) -> Terms:
        """Leave the gradient of the batch's loss in the parameters; return the loss's terms."""
        terms = self._terms(batch)
        self._scaled(total(terms)).backward(inputs=self.parameters)
        return terms

    def _scaled(self, loss: Tensor) -> Tensor:
        return loss if self.scaler is None else self.scaler.scale(loss)

    def _update(self, optimizer: torch.optim.Optimizer) -> None:
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)

    def _terms(self, batch: Batch) -> Terms:
        terms, updates = evaluated(self.objective, self.net, batch, self.strengths)
        self.updates = {name: value.detach() for name, value in updates.items()}
        return terms

    def _search(self, batch: Batch) -> Terms:
        """Let the optimizer evaluate as often as it likes; the terms are those of the start."""
        evaluated: list[Terms] = []
        again = _repeating_noise(samples_of(batch).device)

        def closure() -> float:
            if evaluated:
                again()
            self.optimizer.zero_grad(set_to_none=True)
            torch.clear_autocast_cache()  # of the weights as they were at the last evaluation
            evaluated.append(self._differentiate(batch))
            return total(evaluated[-1]).item()

        self.optimizer.step(closure)
        return evaluated[0]

    def sync(self) -> None:
        """Nothing to do: torch's optimizer holds all there is to know."""

    def _set_lr(self, factor: float) -> None:
        self.factor = factor
        for group in self.groups:
            group["lr"] = group["initial_lr"] * factor


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer's step evaluates the loss itself, several times, as LBFGS does."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _repeating_noise(device: torch.device) -> Callable[[], None]:
    """A function that brings torch's generators back to where they are now."""
    here = torch.get_rng_state()
    there = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def again() -> None:
        torch.set_rng_state(here)
        if there is not None:
            torch.cuda.set_rng_state(there, device)

    return again
