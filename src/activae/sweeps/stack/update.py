"""The optimizer's update for K members at once, on their parameters as one tensor [K, P]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from activae.sweeps.stack.weights import FlatParameters, flattened
from activae.training.module import AutoencoderModule
from activae.training.update_rules import Rule, decouples, rule_for

# Their updates are elementwise and linear in lr, so that a step with lr = 1 of which member k goes
# lr_k of the way is a step with lr_k.
LINEAR_IN_LR = (
    torch.optim.SGD,
    torch.optim.Adam,
    torch.optim.AdamW,
    torch.optim.RMSprop,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.Adagrad,
    torch.optim.Adamax,
    torch.optim.Adadelta,
)

# What an optimizer is given that steps for all: one tensor needs no implementation for many.
_OWN = {"lr": 1.0, "weight_decay": 0.0, "fused": None, "foreach": None}


class StackedUpdate:
    """Does for every member what its own optimizer would do, each with its own lr and decay.

    Weight decay is applied here, for it differs between members: as a part of the gradient, or
    decoupled from it (Loshchilov & Hutter 2019), as the optimizer's class has it.

    `scalars` are the numbers that change from step to step, lr first: computed for many steps in
    double precision on the host, and moved to the device together.
    """

    def __init__(self, models: Sequence[AutoencoderModule], parameters: FlatParameters) -> None:
        self.models = models
        self.parameters = parameters
        groups = [model.optimizer.param_groups[0] for model in models]  # weights, if any decay
        self.base_lrs = torch.tensor([g["initial_lr"] for g in groups], dtype=torch.float64)
        self.decoupled = decouples(groups[0])
        decays = [group.get("weight_decay", 0.0) for group in groups]
        self.decay = parameters.flat.new_tensor(decays)[:, None] if any(decays) else None
        rule = update_rule(models[0].optimizer)
        self.kept = (
            _RuleUpdate(rule, models, parameters) if rule else _TorchUpdate(models, parameters)
        )
        for model in models:
            model.optimizer.state.clear()  # views, maybe, of a larger stack, which is to be freed

    def scalars(self, factors: Tensor, steps: Tensor) -> Tensor:
        """[T, S, K] on the device, of lr factors and step numbers (from 0), float64 [T, K]."""
        lrs = factors * self.base_lrs
        numbers = torch.stack([lrs, *self.kept.scalars(lrs, steps + 1)], dim=1)
        flat = self.parameters.flat
        return numbers.to(flat.dtype).to(flat.device, non_blocking=True)

    @torch.no_grad()
    def __call__(self, gradient: Tensor, scalars: Tensor) -> None:
        """One step with a gradient [K, P], which is used up, and this step's scalars [S, K]."""
        scalars = scalars[:, :, None]
        if self.decay is not None:
            weights = self.parameters.weights(self.parameters.flat)
            if self.decoupled:
                weights.mul_(1 - scalars[0] * self.decay)
            else:
                self.parameters.weights(gradient).addcmul_(self.decay, weights)
        self.kept.step(gradient, scalars)

    def set_lr(self, member: int) -> None:
        """Let the member's own optimizer name the lr of the last step."""
        model = self.models[member]
        factor = model.schedule(max(0, model.step - 1), model.total_steps)
        for group in model.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def sync(self, member: int) -> None:
        """Let the member's own optimizer hold what it would had it taken the steps itself.

        Its tensors become views of the stacked ones.
        """
        self.set_lr(member)
        model, kept = self.models[member], self.kept.state()
        views = {n: self.parameters.split(value[member]) for n, value in kept.items() if value.ndim}
        single = {name: value for name, value in kept.items() if not value.ndim}
        for number, parameter in enumerate(self.parameters.parameters[member]):
            state = model.optimizer.state[parameter]
            state.update({name: value.clone() for name, value in single.items()})
            state.update({name: its[number] for name, its in views.items()})
        self.kept.write_count(model.optimizer, self.parameters.parameters[member], model.step)


class _RuleUpdate:
    """By a rule of `activae.training.update_rules`, whose scalars differ from member to member."""

    def __init__(
        self, rule: Rule, models: Sequence[AutoencoderModule], parameters: FlatParameters
    ) -> None:
        self.rule = rule
        self.flat = parameters.flat
        self.tensors = [_stacked(name, models, parameters) for name in rule.state]

    def scalars(self, lrs: Tensor, steps: Tensor) -> list[Tensor]:
        # A rule's scalars are arithmetic alone, so that tensors do for numbers.
        numbers: list[Any] = self.rule.scalars(lrs, steps)  # type: ignore[arg-type]
        return [torch.as_tensor(number, dtype=lrs.dtype).expand(lrs.shape) for number in numbers]

    def step(self, gradient: Tensor, scalars: Tensor) -> None:
        self.rule.update(self.flat, gradient, self.tensors, scalars[1:])

    def state(self) -> dict[str, Tensor]:
        return dict(zip(self.rule.state, self.tensors, strict=True))

    def write_count(
        self, optimizer: torch.optim.Optimizer, own: Sequence[Tensor], steps: int
    ) -> None:
        self.rule.write_count(optimizer, own, steps)


class _TorchUpdate:
    """By torch's optimizer with lr = 1, of whose step each member goes lr_k of the way.

    The optimizer counts steps for all: members must have taken equally many.
    """

    def __init__(self, models: Sequence[AutoencoderModule], parameters: FlatParameters) -> None:
        assert len({model.step for model in models}) == 1, "one step count for all"
        own: Any = models[0].optimizer
        self.leaf = parameters.flat
        self.optimizer: torch.optim.Optimizer = type(own)([self.leaf], lr=1.0)
        self.optimizer.param_groups[0].update(_hyper_parameters(own))
        known = own.state.get(parameters.parameters[0][0], {})
        for name, value in known.items():
            self.optimizer.state[self.leaf][name] = (
                _stacked(name, models, parameters) if value.ndim else value.cpu().clone()
            )

    def scalars(self, lrs: Tensor, steps: Tensor) -> list[Tensor]:
        return []

    def step(self, gradient: Tensor, scalars: Tensor) -> None:
        before = self.leaf.clone()
        self.leaf.grad = gradient
        self.optimizer.step()
        self.leaf.grad = None
        torch.lerp(before, self.leaf, scalars[0], out=self.leaf)

    def state(self) -> dict[str, Tensor]:
        kept = self.optimizer.state[self.leaf]
        return {name: value for name, value in kept.items() if isinstance(value, Tensor)}

    def write_count(
        self, optimizer: torch.optim.Optimizer, own: Sequence[Tensor], steps: int
    ) -> None:
        """Nothing to do: it is one of the tensors of the state."""


def update_rule(optimizer: torch.optim.Optimizer) -> Rule | None:
    """The rule that steps this optimizer's groups, decay apart; None where torch's step must."""
    return rule_for(optimizer, {**optimizer.param_groups[0], "weight_decay": 0.0})


def _hyper_parameters(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Those of the optimizer's groups that concern the update itself, lr and decay apart."""
    group = optimizer.param_groups[0]
    kept = {key: value for key, value in group.items() if key not in ("params", "initial_lr")}
    return kept | {key: own for key, own in _OWN.items() if key in group}


def _stacked(name: str, models: Sequence[AutoencoderModule], parameters: FlatParameters) -> Tensor:
    """A tensor of the members' optimizer states [K, P]; zero where they have none yet."""
    rows = []
    for model, own in zip(models, parameters.parameters, strict=True):
        kept = [model.optimizer.state.get(p, {}).get(name) for p in own]
        tensors = zip(own, kept, strict=True)
        rows.append(flattened([torch.zeros_like(p) if t is None else t for p, t in tensors]))
    return torch.stack(rows)
