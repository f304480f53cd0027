"""The optimizer step as one pure function: of one network or of K, compiled or not.

    (parameters, state, scalars, strengths, batch) -> terms; parameters and state change in place.

Parameters are flat tensors, and so is each tensor of the optimizer's state (`training/flat.py`).
vmap, for K networks, and torch.compile are switches of this function. The eager step beside it
(`training/eager_step.py`) is what it is tested against, and serves what needs Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from activae.models.autoencoder import Autoencoder, SeenOnce
from activae.objectives import Objective as PenalisedObjective
from activae.objectives import Regularised
from activae.objectives.batch import Batch, samples_of
from activae.objectives.declared import (
    Objective,
    Terms,
    evaluated,
    player_of,
    strengths_at,
    total,
    varies,
)
from activae.training.flat import Layout, Trainee
from activae.training.optimizers import Clipping
from activae.training.update_rules import Rule

PENALTIES = ("l1", "l2")  # the first strengths of our own objectives, taken in closed form


@dataclass(frozen=True)
class Turn:
    """What the pure step has to know of one of those who train: `net`, or its `player`."""

    name: str
    layout: Layout
    rule: Rule | None
    decoupled: bool | None  # of weight decay; None: no weights decay
    penalties: tuple[str, ...] = ()
    clipping: Clipping | None = None


class FunctionalStep:
    """Steps of one network, or of K networks of one shape at once (`stacked`).

    It takes their parameters and optimizers' states over as flat tensors; networks and optimizers
    hold views of them, and all there is to know after `sync`. The networks share objective,
    optimizer and clipping, apart from numbers. A gradient's penalties l1 and l2 are added in closed
    form, so that networks with and without one go together.
    """

    def __init__(
        self,
        nets: Sequence[Autoencoder],
        objectives: Sequence[Objective],
        optimizers: Sequence[torch.optim.Optimizer],
        clipping: Clipping | None,
        player_optimizers: Sequence[torch.optim.Optimizer] = (),
        *,
        stacked: bool = False,
    ) -> None:
        self.objectives = objectives
        self.stacked = stacked
        weights = {name for name, _ in nets[0].weights()}
        net = Trainee(nets, optimizers, weights, stacked=stacked)
        self.trainees = {"net": net}
        fixed = {n: p for n, p in nets[0].named_parameters() if not p.requires_grad}
        self.fixed = Layout(fixed, weights)
        self.flats = {"net": net.flat}
        if fixed:
            self.flats["fixed"] = self.fixed.moved(nets, stacked)
        self.penalised = tuple(n for n in PENALTIES if any(penalty(o, n) for o in objectives))
        turns = [Turn("net", net.layout, net.rule, net.decoupled, self.penalised, clipping)]
        if player_optimizers:
            players = [player.module for o in objectives if (player := player_of(o))]
            names = {name for name, _ in players[0].named_parameters()}
            other = Trainee(players, player_optimizers, names, stacked=stacked)
            self.trainees["player"], self.flats["player"] = other, other.flat
            turns.insert(0, Turn("player", other.layout, other.rule, other.decoupled))
        self.buffers = _moved_buffers(nets, stacked)
        self.constant = None if any(map(varies, objectives)) else self._strengths([0])
        loss = _Loss(nets[0], without_penalties(objectives[0]))
        self.step = pure_step(loss, turns, self.fixed, stacked)
        self._score = _scoring(loss, {"net": net.layout, "fixed": self.fixed}, stacked)
        self._penalties = partial(_penalties, turns[-1], self.fixed)

    def strengths(self, steps: Sequence[int]) -> Tensor:
        """The objectives' numbers at the networks' steps (from 0): [S], stacked [K, S]."""
        return self._strengths(steps) if self.constant is None else self.constant

    def _strengths(self, steps: Sequence[int]) -> Tensor:
        places = steps if len(steps) > 1 else [*steps] * len(self.objectives)
        rows = [strengths_at(o, step) for o, step in zip(self.objectives, places, strict=True)]
        values = self.flats["net"].new_tensor(rows)
        return values.reshape(len(rows), -1) if self.stacked else values[0]

    def state(self) -> dict[str, list[Tensor]]:
        """The tensors of the optimizers' rules."""
        return {name: trainee.state for name, trainee in self.trainees.items()}

    def take(
        self,
        step: Callable[..., Any],
        scalars: dict[str, Tensor],
        strengths: Tensor,
        batch: Batch,
        rows: Tensor | None = None,
    ) -> tuple[Terms, dict[str, Tensor]]:
        """Take the step given; terms, and gradients that optimizers without a rule have to apply.

        rows: the places [k] of the networks concerned, None for all.
        """
        whole = [self.flats, self.state(), self.buffers]
        if rows is None:
            terms, gradients, updates = step(*whole, scalars, strengths, batch)
            _write(self.buffers, updates, ...)
        else:
            parts = _at(whole, rows)
            these = {name: values[:, rows] for name, values in scalars.items()}
            terms, gradients, updates = step(*parts, these, strengths[rows], batch)
            _write([self.flats, self.state(), self.buffers], [*parts[:2], updates], rows)
        return terms, gradients

    @torch.no_grad()
    def scores(self, batch: Batch, strengths: Tensor, rows: Tensor | None) -> Terms:
        """`loss` and `SE` [k] of the networks in some places on the same samples [B, *shape]."""
        flats, buffers, numbers = self.flats, self.buffers, strengths
        if rows is not None:
            flats, buffers, numbers = _at([flats, buffers, numbers], rows)
        found: Terms = self._score(flats, buffers, numbers, batch)
        for term in self._penalties(flats, numbers).values():
            found["loss"] = found["loss"] + term
        return found


def pure_step(
    loss: _Loss, turns: Sequence[Turn], fixed: Layout, stacked: bool
) -> Callable[..., tuple[Terms, dict[str, Tensor], dict[str, Tensor]]]:
    """(flats, state, buffers, scalars, strengths, batch) -> terms, gradients to apply, new buffers.

    flats: parameters [P] by turn, and the `fixed` ones; state: of the turns' rules, [P] each; both
    change in place. buffers: by name; scalars: by turn, [numbers]; strengths [S]. Gradients are
    left where an optimizer has no rule. Stacked, all have a dimension K first, but for scalars,
    which are [numbers, K, 1].
    """
    layouts = {turn.name: turn.layout for turn in turns} | {"fixed": fixed}
    gradients = {}
    for turn in turns:
        gradient = _gradient(loss, turn.name, layouts)
        gradients[turn.name] = vmap(gradient) if stacked else gradient

    def step(
        flats: dict[str, Tensor],
        state: dict[str, list[Tensor]],
        buffers: dict[str, Tensor],
        scalars: dict[str, Tensor],
        strengths: Tensor,
        batch: Batch,
    ) -> tuple[Terms, dict[str, Tensor], dict[str, Tensor]]:
        left = {}
        for turn in turns:
            values, numbers = flats[turn.name], scalars[turn.name]
            gradient, terms, updates = gradients[turn.name](flats, buffers, strengths, batch)
            if turn.penalties:
                terms = _in_order(terms, _penalties(turn, fixed, flats, strengths))
                _add_slopes(turn, values, gradient, strengths)
            if turn.clipping is not None:
                gradient = turn.clipping.of(gradient)
            if turn.decoupled is not None:
                weights = turn.layout.weights
                if turn.decoupled:  # Loshchilov & Hutter 2019
                    values[..., :weights].mul_(numbers[0])
                else:
                    gradient[..., :weights].add_(numbers[0] * values[..., :weights])
                numbers = numbers[1:]
            if turn.rule is None:
                left[turn.name] = gradient
            else:
                turn.rule.update(values, gradient, state[turn.name], numbers)
        return terms, left, updates

    return step


class _Loss(nn.Module):
    """The objective and its player as a module, so that functional_call can lend parameters."""

    def __init__(self, net: Autoencoder, objective: Objective) -> None:
        super().__init__()
        self.net = net
        self.objective = objective
        self.playing = player_of(objective)
        self.player = self.playing.module if self.playing else None

    def forward(
        self, batch: Batch, strengths: Tensor, turn: str
    ) -> tuple[Terms, Mapping[str, Tensor]]:
        if turn == "player":
            assert self.playing is not None
            return {"player": self.playing.loss(self.playing.module, self.net, batch)}, {}
        return evaluated(self.objective, self.net, batch, strengths)


def _lent(layouts: dict[str, Layout], flats: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of `_Loss` by name, as views of the flat tensors."""
    prefixes = {"net": "net", "fixed": "net", "player": "player"}
    return {
        name: view
        for key, flat in flats.items()
        if key in layouts
        for name, view in layouts[key].by_name(flat, prefixes[key]).items()
    }


def _gradient(loss: _Loss, turn: str, layouts: dict[str, Layout]) -> Callable[..., Any]:
    """(flats, buffers, strengths, batch) of one network -> gradient [P], terms, new buffers."""

    def gradient(
        flats: dict[str, Tensor], buffers: dict[str, Tensor], strengths: Tensor, batch: Batch
    ) -> tuple[Tensor, Terms, dict[str, Tensor]]:
        def minimised(own: Tensor) -> tuple[Tensor, tuple[Terms, dict[str, Tensor]]]:
            lent = _lent(layouts, flats | {turn: own}) | buffers
            terms, updates = functional_call(loss, lent, (batch, strengths, turn))
            return total(terms), (terms, {f"net.{name}": new for name, new in updates.items()})

        slope, (_, (terms, updates)) = grad_and_value(minimised, has_aux=True)(flats[turn])
        return slope, terms, updates

    return gradient


def _scoring(loss: _Loss, layouts: dict[str, Layout], stacked: bool) -> Callable[..., Terms]:
    """(flats, buffers, strengths, batch) -> `loss` and `SE` of each network on the same batch."""

    class Scored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, batch: Batch, strengths: Tensor) -> Terms:
            x = samples_of(batch)
            net = cast(Autoencoder, SeenOnce(loss.net, x))
            terms, _ = evaluated(loss.objective, net, batch, strengths)
            return {"loss": total(terms), "SE": (net(x) - x).square().sum() / len(x)}

    scored = Scored()

    def score(
        flats: dict[str, Tensor], buffers: dict[str, Tensor], strengths: Tensor, batch: Batch
    ) -> Terms:
        lent = {f"loss.{name}": value for name, value in (_lent(layouts, flats) | buffers).items()}
        terms: Terms = functional_call(scored, lent, (batch, strengths))
        return terms

    def in_evaluation_mode(*arguments: Any) -> Terms:
        loss.net.eval()
        found = vmap(score, in_dims=(0, 0, 0, None))(*arguments) if stacked else score(*arguments)
        loss.net.train()
        return found

    return in_evaluation_mode


def _penalties(turn: Turn, fixed: Layout, flats: dict[str, Tensor], strengths: Tensor) -> Terms:
    """The penalties of all weights, those that train and those that do not: scalars, or [K]."""
    parts = [flats["net"][..., : turn.layout.weights]]
    if "fixed" in flats:
        parts.append(flats["fixed"][..., : fixed.weights])
    terms = {}
    for name in turn.penalties:
        sums = [(part.abs() if name == "l1" else part.square()).sum(-1) for part in parts]
        terms[name] = strengths[..., PENALTIES.index(name)] * sum(sums)
    return terms


def _add_slopes(turn: Turn, values: Tensor, gradient: Tensor, strengths: Tensor) -> None:
    """Add the penalties' gradients, in place."""
    weights = values[..., : turn.layout.weights]
    for name in turn.penalties:
        strength = strengths[..., PENALTIES.index(name), None]
        slope = weights.sign() if name == "l1" else 2 * weights
        gradient[..., : turn.layout.weights].add_(strength * slope)


def _in_order(terms: Terms, penalties: Terms) -> Terms:
    """As the objective itself names them: the reconstruction, penalties, what was added."""
    (name, first), *rest = terms.items()
    return {name: first, **penalties, **dict(rest)}


def penalty(objective: Objective, name: str) -> float:
    """The coefficient of one of PENALTIES; objectives of the user's own keep theirs within."""
    plain = objective.objective if isinstance(objective, Regularised) else objective
    return float(getattr(plain, name)) if type(plain) is PenalisedObjective else 0.0


def without_penalties(objective: Objective) -> Objective:
    """The objective but for l1 and l2, whose strengths it is still given."""
    if isinstance(objective, Regularised):
        bare = copy(objective)
        bare.objective = without_penalties(objective.objective)
        return bare
    if type(objective) is PenalisedObjective:
        return PenalisedObjective(objective.reconstruction, l1=0.0, l2=0.0)
    return objective


def unwritten_buffer(net: Autoencoder) -> str | None:
    """A buffer that the functional step would not update, if there is one."""
    updated = _updated(net)
    return next((name for name, _ in net.named_buffers() if name not in updated), None)


def _updated(net: Autoencoder) -> list[str]:
    return [f"latent.{name}" for name in net.latent.updated] if net.latent is not None else []


def _moved_buffers(nets: Sequence[Autoencoder], stacked: bool) -> dict[str, Tensor]:
    """The buffers that steps update, by their names in `_Loss`; stacked, they become views."""
    moved = {}
    for name in _updated(nets[0]):
        own = [net.get_buffer(name) for net in nets]
        moved[f"net.{name}"] = torch.stack(own) if stacked else own[0]
        for net, view in zip(nets, moved[f"net.{name}"], strict=True) if stacked else ():
            parent, _, leaf = name.rpartition(".")
            net.get_submodule(parent)._buffers[leaf] = view
    return moved


def _at(tree: Any, rows: Tensor) -> Any:
    """Copies of the rows of all tensors in nested dicts and lists."""
    if isinstance(tree, Tensor):
        return tree[rows]
    if isinstance(tree, dict):
        return {key: _at(value, rows) for key, value in tree.items()}
    return [_at(value, rows) for value in tree]


def _write(tree: Any, parts: Any, rows: Any) -> None:
    """Write such copies back, as far as there are any."""
    if isinstance(tree, Tensor):
        tree[rows] = parts
    elif isinstance(tree, dict):
        for key, part in parts.items():
            _write(tree[key], part, rows)
    else:
        for value, part in zip(tree, parts, strict=True):
            _write(value, part, rows)
