"""The updates of some torch optimizers as tensor operations, for a functional step to contain.

torch's own optimizers, traced, compute bias corrections inside the vectorised loop or break the
graph. Here what changes from step to step (learning rate, bias corrections) is computed before the
step, in double precision, and handed in as numbers; the other hyper-parameters are constants of
the graph. Weight decay is the step's, see `decouples`. The tests hold each rule to torch's
optimizer, whose state names they keep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Hyper = dict[str, Any]
Update = Callable[[Tensor, Tensor, Sequence[Tensor], Tensor], None]


@dataclass(frozen=True)
class Rule:
    """One optimizer's update.

    state: names of the tensors kept for each parameter; those that the optimizer has not made yet
    start at zero.
    scalars: (lr, t) -> the numbers of step t, counted from 1, by arithmetic that tensors know too.
    update: (parameter, gradient, state, scalars), in place.
    counts: where the optimizer keeps the number of its steps, if at all.
    """

    state: tuple[str, ...]
    scalars: Callable[[Any, Any], list[Any]]
    update: Update
    counts: Literal["state", "group"] | None = "state"

    def write_count(
        self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], steps: int
    ) -> None:
        """Let the optimizer know that it has taken so many steps with these parameters."""
        if self.counts == "state":
            for parameter in parameters:
                optimizer.state[parameter]["step"] = torch.tensor(float(steps))
        elif self.counts == "group":
            for group in optimizer.param_groups:
                group["step"] = steps


def rule_for(optimizer: torch.optim.Optimizer, hyper: Hyper) -> Rule | None:
    """The rule for a group with these hyper-parameters; None where only torch's step will do."""
    known = _RULES.get(type(optimizer)) or _RULES_BY_NAME.get(_name(type(optimizer)))
    unusual = any(hyper.get(key) or getattr(optimizer, key, False) for key in _UNUSUAL)
    return None if known is None or unusual else known(hyper)


def decouples(hyper: Hyper) -> bool:
    """Whether weights decay apart from the gradient (Loshchilov & Hutter 2019)."""
    return bool(hyper.get("decoupled_weight_decay") or hyper.get("weight_decouple"))


def _sgd(hyper: Hyper) -> Rule:
    momentum, nesterov = hyper["momentum"], hyper["nesterov"]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        if momentum:
            velocity = state[0].mul_(momentum).add_(gradient)
            gradient = gradient + momentum * velocity if nesterov else velocity
        p.sub_(scalars[0] * gradient)

    return Rule(("momentum_buffer",) if momentum else (), lambda lr, t: [lr], update, counts=None)


def _adam(hyper: Hyper) -> Rule:
    beta1, beta2 = hyper["betas"]
    eps = hyper["eps"]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        mean, square = state
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        p.sub_(scalars[0] * mean / (square.sqrt() * scalars[1] + eps))

    return Rule(
        ("exp_avg", "exp_avg_sq"),
        lambda lr, t: [lr / (1 - beta1**t), (1 - beta2**t) ** -0.5],
        update,
    )


def _rmsprop(hyper: Hyper) -> Rule:
    alpha, eps, momentum = hyper["alpha"], hyper["eps"], hyper["momentum"]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        square = state[0].mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
        gradient = gradient / (square.sqrt() + eps)
        p.sub_(scalars[0] * (state[1].mul_(momentum).add_(gradient) if momentum else gradient))

    names = ("square_avg", "momentum_buffer") if momentum else ("square_avg",)
    return Rule(names, lambda lr, t: [lr], update)


def _radam(hyper: Hyper) -> Rule:
    beta1, beta2 = hyper["betas"]
    eps = hyper["eps"]
    longest = 2 / (1 - beta2) - 1  # the average's length in the end: rho_inf of Liu et al. 2020
    scale = longest / ((longest - 4) * (longest - 2)) if longest > 5 else 0.0

    def scalars_at(lr: Any, t: Any) -> list[Any]:
        unbiased = 1 - beta2**t
        length = longest - 2 * t * beta2**t / unbiased
        adapts = (length > 5) * 1.0
        rectified = (adapts * scale * (length - 4) * (length - 2) / length * unbiased) ** 0.5
        return [lr / (1 - beta1**t), rectified, 1 - adapts]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        mean, square = state
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        p.sub_(scalars[0] * mean * (scalars[1] / (square.sqrt() + eps) + scalars[2]))

    return Rule(("exp_avg", "exp_avg_sq"), scalars_at, update)


def _adagrad(hyper: Hyper) -> Rule:
    eps, lr_decay = hyper["eps"], hyper["lr_decay"]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        square = state[0].addcmul_(gradient, gradient)
        p.sub_(scalars[0] * gradient / (square.sqrt() + eps))

    return Rule(("sum",), lambda lr, t: [lr / (1 + (t - 1) * lr_decay)], update)


def _lion(hyper: Hyper) -> Rule:
    beta1, beta2 = hyper["betas"]

    def update(p: Tensor, gradient: Tensor, state: Sequence[Tensor], scalars: Tensor) -> None:
        p.sub_(scalars[0] * state[0].lerp(gradient, 1 - beta1).sign())
        state[0].lerp_(gradient, 1 - beta2)

    return Rule(("exp_avg",), lambda lr, t: [lr], update, counts="group")


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


# What makes an update another than the rule's, as a hyper-parameter or as an attribute.
_UNUSUAL = (
    *("amsgrad", "maximize", "centered", "differentiable", "dampening"),  # torch's
    *("fixed_decay", "use_gc", "adanorm", "cautious"),  # pytorch_optimizer's
)
_RULES: dict[type[torch.optim.Optimizer], Callable[[Hyper], Rule]] = {
    torch.optim.SGD: _sgd,
    torch.optim.Adam: _adam,
    torch.optim.AdamW: _adam,
    torch.optim.RMSprop: _rmsprop,
    torch.optim.RAdam: _radam,
    torch.optim.Adagrad: _adagrad,
}
# Of libraries that are not imported for it.
_RULES_BY_NAME = {"pytorch_optimizer.optimizer.lion.Lion": _lion}
# Their updates are elementwise and linear in lr, so that a step with lr = 1 of which a network goes
# lr of the way is a step with lr.
LINEAR_IN_LR = (
    *_RULES,
    torch.optim.NAdam,
    torch.optim.Adamax,
    torch.optim.Adadelta,
)
