"""The updates of some torch optimizers as tensor operations, for a compiled step to contain.

torch's own optimizers, traced, compute bias corrections inside the vectorised loop or break the
graph. Here what changes from step to step (learning rate, bias corrections) is computed in Python,
in double precision, and handed in as numbers, as is the strength of weight decay; the other
hyper-parameters are constants of the graph. The
tests hold each rule to torch's optimizer, whose state names they keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Hyper = dict[str, Any]
Update = Callable[[Tensor, Tensor, Sequence[Tensor], Tensor], None]


@dataclass(frozen=True)
class Rule:
    """One optimizer's update.

    state: names of the tensors kept for each parameter, all starting at zero.
    scalars: (lr, t) -> the numbers of step t, counted from 1.
    update: (parameter, gradient, state, scalars), in place.
    """

    state: tuple[str, ...]
    scalars: Callable[[float, int], list[float]]
    update: Update


def rule_for(optimizer: torch.optim.Optimizer, hyper: Hyper) -> Rule | None:
    """The rule for a group with these hyper-parameters; None where only torch's step will do."""
    known = _RULES.get(type(optimizer))
    unusual = ("amsgrad", "maximize", "centered", "differentiable", "dampening")
    return None if known is None or any(hyper.get(key) for key in unusual) else known(hyper)


def _sgd(hyper: Hyper) -> Rule:
    momentum, nesterov = hyper["momentum"], hyper["nesterov"]
    decay = hyper["weight_decay"]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        if decay:
            gradient = gradient + scalars[1] * p
        if momentum:
            velocity = state[0].mul_(momentum).add_(gradient)
            gradient = gradient + momentum * velocity if nesterov else velocity
        p.sub_(scalars[0] * gradient)

    return Rule(("momentum_buffer",) if momentum else (), lambda lr, t: [lr, decay], update)


def _adam(hyper: Hyper) -> Rule:
    beta1, beta2 = hyper["betas"]
    eps, decay = hyper["eps"], hyper["weight_decay"]
    decoupled = hyper["decoupled_weight_decay"]

    def scalars_at(lr: float, t: int) -> list[float]:
        shrink = 1 - lr * decay if decoupled else decay
        return [lr / (1 - beta1**t), (1 - beta2**t) ** -0.5, shrink]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        mean, square = state
        if decay and decoupled:  # Loshchilov & Hutter 2019
            p.mul_(scalars[2])
        elif decay:
            gradient = gradient + scalars[2] * p
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        p.sub_(scalars[0] * mean / (square.sqrt() * scalars[1] + eps))

    return Rule(("exp_avg", "exp_avg_sq"), scalars_at, update)


def _rmsprop(hyper: Hyper) -> Rule:
    alpha, eps, momentum = hyper["alpha"], hyper["eps"], hyper["momentum"]
    decay = hyper["weight_decay"]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        if decay:
            gradient = gradient + scalars[1] * p
        square = state[0].mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
        gradient = gradient / (square.sqrt() + eps)
        p.sub_(scalars[0] * (state[1].mul_(momentum).add_(gradient) if momentum else gradient))

    names = ("square_avg", "momentum_buffer") if momentum else ("square_avg",)
    return Rule(names, lambda lr, t: [lr, decay], update)


_RULES: dict[type[torch.optim.Optimizer], Callable[[Hyper], Rule]] = {
    torch.optim.SGD: _sgd,
    torch.optim.Adam: _adam,
    torch.optim.AdamW: _adam,
    torch.optim.RMSprop: _rmsprop,
}
