"""Parameters and optimizer state of one network, or of K of one shape, as flat tensors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from activae.training.update_rules import LINEAR_IN_LR, Rule, decouples, rule_for

# What an optimizer is given that steps for all: one tensor needs no implementation for many.
_OWN = {"lr": 1.0, "weight_decay": 0.0, "fused": None, "foreach": None}


class Layout:
    """Where named parameters lie in a flat tensor [..., P].

    Weights come first, up to column `weights`; biases and the parameters of activations follow, to
    which neither decay nor penalties apply.
    """

    def __init__(self, named: Mapping[str, Tensor], weights: Collection[str]) -> None:
        self.names = sorted(named, key=lambda name: name not in weights)  # stable
        self.shapes = [named[name].shape for name in self.names]
        self.weights = sum(named[name].numel() for name in self.names if name in weights)

    def split(self, flat: Tensor) -> list[Tensor]:
        """Views [..., *shape], one a parameter, of a tensor [..., P]."""
        parts = flat.split([shape.numel() for shape in self.shapes], dim=-1)
        leading = flat.shape[:-1]
        return [
            part.view((*leading, *shape)) for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def by_name(self, flat: Tensor, prefix: str) -> dict[str, Tensor]:
        """Views [..., *shape] of [..., P] by the names of the parameters."""
        views = zip(self.names, self.split(flat), strict=True)
        return {f"{prefix}.{name}": view for name, view in views}

    def moved(self, modules: Sequence[nn.Module], stacked: bool) -> Tensor:
        """The modules' parameters as one tensor [K, P], or [P], whose views they become.

        So each module is at any time what it would be had it been trained alone.
        """
        own = [[module.get_parameter(name) for name in self.names] for module in modules]
        rows = torch.stack([_flattened(parameters) for parameters in own])
        for row, parameters in zip(rows, own, strict=True):
            for parameter, view in zip(parameters, self.split(row), strict=True):
                parameter.data = view
        return rows if stacked else rows[0]


class Trainee:
    """What one optimizer trains in a module, or in each of K modules that have one each.

    It holds the flat parameters `flat` and the flat tensors `state` of the optimizer's rule. An
    optimizer without a rule takes its own step; for K modules one steps on the flat tensor for all,
    with lr = 1, of which each module goes lr of the way. That one counts steps for all: modules
    must have taken equally many.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
        weights: Collection[str],
        *,
        stacked: bool,
    ) -> None:
        self.optimizers = optimizers
        named = {n: p for n, p in modules[0].named_parameters() if p.requires_grad}
        self.layout = Layout(named, weights)
        self.flat = self.layout.moved(modules, stacked)
        self.own = [[module.get_parameter(n) for n in self.layout.names] for module in modules]
        groups = [optimizer.param_groups[0] for optimizer in optimizers]  # weights, if any decay
        self.rule = rule_of(optimizers[0])
        self.shared = self._one_for_all() if stacked and self.rule is None else None
        self.state = [self._gathered(name) for name in (self.rule.state if self.rule else ())]
        lrs = [group["initial_lr"] for group in groups]
        decays = [group.get("weight_decay", 0.0) for group in groups]
        ours = any(decays) and (self.rule is not None or stacked)
        self.decoupled = decouples(groups[0]) if ours else None
        # Numbers for one module, so that its scalars are Python's; a tensor [K] for several.
        self.lr: Any = torch.tensor(lrs, dtype=torch.float64) if stacked else lrs[0]
        self.weight_decay: Any = torch.tensor(decays, dtype=torch.float64) if stacked else decays[0]
        if stacked:
            for optimizer in optimizers:
                optimizer.state.clear()  # of a larger stack, maybe, which is to be freed
        else:
            self._lend_state(0)

    def scalars(self, factor: Any, step: Any) -> list[Any]:
        """What changes from step to step (from 1): weight decay's number if any decay, the rule's.

        factor: what lr is multiplied by. Both are numbers, or float64 tensors [T, K] for K modules.
        """
        lr = factor * self.lr
        found = [] if self.decoupled is None else [self.weight_decay]
        if self.decoupled:
            found = [1 - lr * self.weight_decay]
        return found + (self.rule.scalars(lr, step) if self.rule else [lr])

    def set_lr(self, place: int, factor: float) -> None:
        """Let a module's own optimizer name the lr of its last step."""
        for group in self.optimizers[place].param_groups:
            group["lr"] = group["initial_lr"] * factor

    @torch.no_grad()
    def step(self, gradient: Tensor, lr: Tensor | None) -> None:
        """The step of an optimizer without a rule; lr [K, 1] for K modules."""
        if self.shared is None or lr is None:
            for parameter, its in zip(self.own[0], self.layout.split(gradient), strict=True):
                parameter.grad = its
            self.optimizers[0].step()
            self.optimizers[0].zero_grad(set_to_none=True)
            return
        before = self.flat.clone()
        self.flat.grad = gradient
        self.shared.step()
        self.flat.grad = None
        torch.lerp(before, self.flat, lr, out=self.flat)

    def sync(self, place: int, steps: int) -> None:
        """Let a module's own optimizer hold what it would had it taken all its steps itself.

        Its tensors become views of the flat ones.
        """
        self._lend_state(place)
        if self.rule is not None:
            self.rule.write_count(self.optimizers[place], self.own[place], steps)

    def _lend_state(self, place: int) -> None:
        named = dict(zip(self.rule.state, self.state, strict=True)) if self.rule else {}
        if self.shared is not None:
            kept = self.shared.state[self.flat]
            named = {name: value for name, value in kept.items() if isinstance(value, Tensor)}
        for name, value in named.items():
            if value.ndim:
                row = value if value.ndim == 1 else value[place]
                lent = self.layout.split(row)
            else:
                lent = [value.clone() for _ in self.own[place]]
            for parameter, its in zip(self.own[place], lent, strict=True):
                self.optimizers[place].state[parameter][name] = its

    def _one_for_all(self) -> torch.optim.Optimizer:
        own: Any = self.optimizers[0]
        kept = {k: v for k, v in own.param_groups[0].items() if k not in ("params", "initial_lr")}
        shared: torch.optim.Optimizer = type(own)([self.flat], lr=1.0)
        shared.param_groups[0].update(kept | {k: v for k, v in _OWN.items() if k in kept})
        for name, value in own.state.get(self.own[0][0], {}).items():
            shared.state[self.flat][name] = (
                self._gathered(name) if value.ndim else value.cpu().clone()
            )
        return shared

    def _gathered(self, name: str) -> Tensor:
        """A tensor of the optimizers' states, as flat as the parameters; 0 where there is none."""
        rows = []
        for optimizer, own in zip(self.optimizers, self.own, strict=True):
            kept = [optimizer.state.get(p, {}).get(name) for p in own]
            tensors = zip(own, kept, strict=True)
            rows.append(_flattened([torch.zeros_like(p) if t is None else t for p, t in tensors]))
        return torch.stack(rows) if self.flat.ndim > 1 else rows[0]


def rule_of(optimizer: torch.optim.Optimizer) -> Rule | None:
    """The rule that steps all of an optimizer's groups; None where torch's step must."""
    rules = [rule_for(optimizer, group) for group in optimizer.param_groups]
    return rules[0] if all(rules) else None


def why_not_elementwise(optimizer: torch.optim.Optimizer) -> str | None:
    """Why one optimizer cannot step for many networks, in words; None where it can."""
    name = type(optimizer).__name__
    if type(optimizer) not in LINEAR_IN_LR and rule_of(optimizer) is None:
        return f"{name} is not known to be elementwise and linear in lr"
    for key in ("maximize", "differentiable"):
        if optimizer.param_groups[0].get(key):
            return f"{name}({key}=True) is not stacked"
    return None


def _flattened(tensors: Sequence[Tensor]) -> Tensor:
    """One row [P] of tensors in a layout's order."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])
