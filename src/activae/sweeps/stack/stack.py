"""K networks that take their optimizer steps together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from activae.data.module import EVALUATION_ROWS
from activae.objectives import total
from activae.objectives.batch import Batch
from activae.sweeps.stack.batches import Chunk
from activae.sweeps.stack.loss import (
    Terms,
    regulariser_weights,
    stacked_loss,
    stacked_penalties,
)
from activae.sweeps.stack.sums import StackedSums
from activae.sweeps.stack.update import StackedUpdate
from activae.sweeps.stack.weights import FlatParameters
from activae.training.module import AutoencoderModule, Row

CLIP_EPSILON = 1e-6  # as in torch.nn.utils.clip_grad_norm_


class Stack:
    """Trains and scores models of one shape, all on one device, as one.

    Takes up their parameters, their optimizers' states and their epoch's sums; what they hold
    afterwards is current once `sync` is called. They must share network, objective, optimizer and
    clipping, apart from the numbers named in `activae.sweeps.stack.eligibility`.
    """

    def __init__(self, models: Sequence[AutoencoderModule]) -> None:
        self.models = models
        self.parameters = FlatParameters([model.net for model in models])
        self.loss = stacked_loss(models)
        self.strengths = regulariser_weights(models, self.parameters.flat)
        self.penalties = stacked_penalties(models, self.parameters.flat)
        self.update = StackedUpdate(models, self.parameters)
        self.clip_norm = models[0].clip_norm
        self.sums = StackedSums(models, self.parameters.flat.device)

    def train(self, chunk: Chunk, should_stop: Callable[[], bool]) -> tuple[int, list[int | None]]:
        """Take the chunk's steps, up to where a stop is asked for.

        Returns how many steps were taken, and for each member which of them (from 0) was the first
        with a loss that is not finite, if any. Waits for the device once.
        """
        scalars = self.update.scalars(chunk.factors, chunk.steps)
        taken: list[Terms] = []
        for step in range(chunk.length):
            if should_stop():
                break
            taken.append(self._step(chunk, step, scalars[step]))
        if not taken:
            return 0, [None] * len(self.models)
        terms = {name: torch.stack([one[name] for one in taken]) for name in taken[0]}
        self.sums.add(terms, chunk.sizes)
        return len(taken), _first_nonfinite(torch.stack(list(terms.values())).sum(0))

    def _step(self, chunk: Chunk, step: int, scalars: Tensor) -> Terms:
        gradient, terms = self._gradient(chunk, step)
        weights = self.parameters.weights(self.parameters.flat)
        terms |= self.penalties.terms(weights)
        self.penalties.add_gradient(weights, self.parameters.weights(gradient))
        if self.clip_norm is not None:
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            gradient.mul_((self.clip_norm / (norm + CLIP_EPSILON)).clamp(max=1.0))
        self.update(gradient, scalars)
        return terms

    def _gradient(self, chunk: Chunk, step: int) -> tuple[Tensor, Terms]:
        """The objective's gradient [K, P] and terms [K], members of one batch length at a time."""
        flat = self.parameters.flat
        gradient = torch.empty_like(flat)
        terms: Terms = {}
        for batches in chunk.groups:
            part, found = self._gradient_of(batches.rows, batches.at(step))
            if batches.rows is None:
                return part, found
            gradient[batches.rows] = part
            for name, values in found.items():
                terms.setdefault(name, flat.new_empty(len(flat)))[batches.rows] = values
        return gradient, terms

    def _gradient_of(self, rows: Tensor | None, batch: Batch) -> tuple[Tensor, Terms]:
        """A row of the gradient concerns its member alone: that of the sum over members has all."""
        leaf = _rows(self.parameters.flat, rows).detach().requires_grad_()
        stacked = self.parameters.by_name(leaf)
        terms = self.loss.terms(stacked, batch, _rows(self.strengths, rows))
        (gradient,) = torch.autograd.grad(total(terms).sum(), leaf)
        return gradient, {name: values.detach() for name, values in terms.items()}

    def evaluate(self, places: Sequence[int]) -> list[dict[str, Row]]:
        """`loss` and `SE` of the members in these places, on val and as many samples of train."""
        found: list[dict[str, Row]] = []
        for _, together in groupby(places, key=lambda k: id(self.models[k].data.samples["train"])):
            found += self._evaluate(list(together))
        return found

    @torch.no_grad()
    def _evaluate(self, places: list[int]) -> list[dict[str, Row]]:
        """The same, of members who share their samples."""
        model = self.models[places[0]]
        samples = model.data.samples
        flat = self.parameters.flat
        everyone = len(places) == len(self.models)
        rows = None if everyone else torch.tensor(places, device=flat.device)
        mine, strengths = _rows(flat, rows), _rows(self.strengths, rows)
        stacked = self.parameters.by_name(mine)
        penalties = sum(self.penalties.of(rows).terms(self.parameters.weights(mine)).values())
        at_a_time = max(model.data.batch_size, EVALUATION_ROWS // len(places))
        means = []
        for stage in ("train", "val"):
            x = samples[stage][: len(samples["val"])]
            sums = flat.new_zeros(2, len(places), dtype=torch.float64)
            for part in x.split(at_a_time):
                scores = self.loss.scores(stacked, model.evaluation_batch(part), strengths)
                loss = scores["loss"] + penalties
                sums += torch.stack([loss, scores["SE"]]).double() * len(part)
            means.append(sums / len(x))
        return [
            {
                "train": {"loss": train[0], "SE": train[1]},
                "val": {"loss": val[0], "SE": val[1]},
            }
            for train, val in torch.stack(means).permute(2, 0, 1).tolist()
        ]

    def sync(self, place: int) -> None:
        """Let the model in this place hold the state of its optimizer and of its epoch's sums."""
        self.update.sync(place)
        self.sums.sync(place)


def _rows(values: Tensor, rows: Tensor | None) -> Tensor:
    """Those of the members in these places; None for all."""
    return values if rows is None else values[rows]


def _first_nonfinite(losses: Tensor) -> list[int | None]:
    """For each column of losses [T, K] the first row that is not finite."""
    finite = losses.isfinite()
    if bool(finite.all()):
        return [None] * losses.shape[1]
    return [None if all(row) else row.index(False) for row in finite.T.tolist()]
