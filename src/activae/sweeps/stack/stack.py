"""K networks that take their optimizer steps together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from activae.config.devices import widest_float
from activae.data.module import EVALUATION_ROWS
from activae.objectives import of_batch
from activae.objectives.batch import rows_of, samples_of
from activae.objectives.declared import Terms
from activae.sweeps.stack.batches import Chunk
from activae.training.epoch_sums import Sums
from activae.training.module import AutoencoderModule, Row
from activae.training.step import PENALTIES, FunctionalStep, penalty


class Stack:
    """Trains and scores models of one shape, all on one device, by one functional step.

    It takes over their parameters, their optimizers' states and their epoch's sums; what they hold
    afterwards is current once `sync` is called. They must share network, objective, optimizer and
    clipping, apart from the numbers named in `activae.sweeps.stack.eligibility`.
    """

    def __init__(self, models: Sequence[AutoencoderModule]) -> None:
        self.models = models
        objectives = [model.objective for model in models]
        players = [m.player_optimizer for m in models if m.player_optimizer is not None]
        self.step = FunctionalStep(
            [model.net for model in models],
            objectives,
            [model.optimizer for model in models],
            models[0].clipping,
            players,
            stacked=True,
        )
        self.flat = self.step.flats["net"]
        self.sums = Sums.stacked([model.epoch_sums for model in models], self.flat.device)

    def train(self, chunk: Chunk, should_stop: Callable[[], bool]) -> tuple[int, list[int | None]]:
        """Take the chunk's steps, up to where a stop is asked for.

        Returns how many steps were taken, and for each member which of them (from 0) was the first
        with a loss that is not finite, if any. Waits for the device once.
        """
        scalars = self._scalars(chunk)
        taken: list[Terms] = []
        for step in range(chunk.length):
            if should_stop():
                break
            these = {name: values[step] for name, values in scalars.items()}
            taken.append(self._step(chunk, step, these))
        if not taken:
            return 0, [None] * len(self.models)
        terms = {name: torch.stack([one[name] for one in taken]) for name in taken[0]}
        self.sums.add(terms, chunk.sizes)
        return len(taken), _first_nonfinite(torch.stack(list(terms.values())).sum(0))

    def _scalars(self, chunk: Chunk) -> dict[str, Tensor]:
        """What changes from step to step, [T, numbers, K, 1]: in double precision on the host."""
        moved = {}
        for name, trainee in self.step.trainees.items():
            numbers = trainee.scalars(chunk.factors, chunk.steps + 1)
            shape = chunk.factors.shape
            each = [torch.as_tensor(n, dtype=torch.float64).expand(shape) for n in numbers]
            whole = torch.stack(each, dim=1)[..., None].to(self.flat.dtype)
            moved[name] = whole.to(self.flat.device, non_blocking=True)
        return moved

    def _step(self, chunk: Chunk, step: int, scalars: dict[str, Tensor]) -> Terms:
        """A step of all members, those of one batch length at a time."""
        pure = self.step
        strengths = pure.strengths([model.step + step for model in self.models])
        terms: Terms = {}
        gradients: dict[str, Tensor] = {}
        for group in chunk.groups:
            found = pure.take(pure.step, scalars, strengths, group.at(step), group.rows)
            if group.rows is None:
                terms, gradients = found
                continue
            for whole, part in zip((terms, gradients), found, strict=True):
                for name, values in part.items():
                    shape = (len(self.models), *values.shape[1:])
                    whole.setdefault(name, values.new_empty(shape))[group.rows] = values
        for name, gradient in gradients.items():
            pure.trainees[name].step(gradient, scalars[name][-1])
        return terms

    def evaluate(self, places: Sequence[int]) -> list[dict[str, Row]]:
        """`loss` and `SE` of the members in these places, on val and as many samples of train."""
        found: list[dict[str, Row]] = []

        def evaluated_with(place: int) -> int:
            model = self.models[place]
            # A figure of a batch as a whole needs the batches of a plain run, too large for many.
            return place if of_batch(model.objective) else id(model.data.samples["train"])

        for _, together in groupby(places, key=evaluated_with):
            found += self._evaluate(list(together))
        return found

    def _evaluate(self, places: list[int]) -> list[dict[str, Row]]:
        """The same, of members who share their samples."""
        model = self.models[places[0]]
        samples = model.data.samples
        everyone = len(places) == len(self.models)
        rows = None if everyone else torch.tensor(places, device=self.flat.device)
        strengths = self.step.strengths([model.step for model in self.models])
        fewest = model.data.batch_size if len(places) > 1 else EVALUATION_ROWS
        at_a_time = max(fewest, EVALUATION_ROWS // len(places))
        # What is drawn for samples is that of a plain run, which draws for so many at once.
        draws = model.noise is not None and model.noise.draws
        drawn_at_once = EVALUATION_ROWS if draws else at_a_time
        means = []
        for stage in ("train", "val"):
            x = samples[stage][: model.data.evaluated(stage)]
            sums = self.flat.new_zeros(2, len(places), dtype=widest_float(self.flat.device))
            for part in x.split(drawn_at_once):
                batch = model.evaluation_batch(part)
                for first in range(0, len(part), at_a_time):
                    some = rows_of(batch, first, first + at_a_time)
                    scores = self.step.scores(some, strengths, rows)
                    found = torch.stack([scores["loss"], scores["SE"]]).to(sums)
                    sums += found * len(samples_of(some))
            means.append(sums / len(x))
        return [
            {
                "train": {"loss": train[0], "SE": train[1]},
                "val": {"loss": val[0], "SE": val[1]},
            }
            for train, val in torch.stack(means).permute(2, 0, 1).tolist()
        ]

    def take_terms(self, places: Sequence[int]) -> list[Row]:
        """The epoch's mean terms of the members in these places, who start afresh."""
        rows = self.sums.take_from(places) if places else []
        return [
            {name: row[name] for name in self._names(place)}
            for place, row in zip(places, rows, strict=True)
        ]

    def sync(self, place: int) -> None:
        """Let the model in this place hold the state of its optimizer and of its epoch's sums."""
        model = self.models[place]
        for trainee in self.step.trainees.values():
            trainee.sync(place, model.step)
        self.set_lr(place)
        model.epoch_sums = self.sums.of(place, self._names(place))

    def set_lr(self, place: int) -> None:
        """Let the member's own optimizer name the lr of the last step."""
        model = self.models[place]
        factor = model.schedule(max(0, model.step - 1), model.total_steps)
        for trainee in self.step.trainees.values():
            trainee.set_lr(place, factor)

    def _names(self, place: int) -> list[str]:
        """Of the terms, but for penalties that only other members have."""
        mine = [name for name in PENALTIES if penalty(self.models[place].objective, name)]
        others = set(self.step.penalised) - set(mine)
        return [name for name in self.sums.sums if name not in others]


def _first_nonfinite(losses: Tensor) -> list[int | None]:
    """For each column of losses [T, K] the first row that is not finite."""
    finite = losses.isfinite()
    if bool(finite.all()):
        return [None] * losses.shape[1]
    return [None if all(row) else row.index(False) for row in finite.T.tolist()]
