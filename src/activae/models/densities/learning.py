"""How a density learns by gradient: one recipe for all of them.

Codes are whitened, a tenth is held out, Adam takes steps until what is held out has not been
fitted better for a while; the best weights are kept, which may be the first. Everything follows
from codes and seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from activae.activations.analysis import threads
from activae.errors import UserError
from activae.models.densities.mixtures import FLOOR, covariance, factor_of, usable
from activae.randomness import generator

FEWEST = 20  # codes, of which two are held out
_HELD_OUT = 0.1
_BATCH = 512
_RATE = 2e-3
_FEWEST_STEPS, _MOST_STEPS = 500, 3000
_EPOCHS = 100  # so many steps as that are, between the two
_MOST_EPOCHS = 250  # of few codes, which are known by heart by then
_LOOK_EVERY = 50  # steps, or so many epochs if these are shorter
_LOOK_EPOCHS = 25
_PATIENCE = 6  # looks
_CLIP = 5.0  # of the gradient's norm

# (rows [B, d], generator) -> loss, a scalar: what a density minimises, in nats a row.
Loss = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Scale:
    """Where codes lie: mean [d], and a factor [d, d] of their covariance, lower triangular."""

    mean: Tensor
    factor: Tensor

    def apply(self, codes: Tensor) -> Tensor:
        """White codes [N, d], single precision."""
        centred = (codes - self.mean).T.to(self.factor)
        white: Tensor = torch.linalg.solve_triangular(self.factor, centred, upper=False)
        return white.T.float()

    def invert(self, white: Tensor) -> Tensor:
        """Codes [N, d], single precision, of white ones."""
        return torch.addmm(self.mean.float(), white, self.factor.T.float())


def whitened(codes: Tensor, seed: int) -> tuple[Tensor, Scale]:
    """Codes [N, d] with mean 0 and covariance 1, single precision, and what they were.

    So a density begins at the normal distribution of their covariance. A little noise is added, as
    covariances of mixtures have it: a dimension that never varies has a density too. Raises
    UserError where codes have no spread, or are fewer than 20.
    """
    codes = usable(codes)
    if len(codes) < FEWEST:
        raise UserError(
            f"{len(codes)} codes are too few to learn from: give {FEWEST} or more, or the sampler "
            "gaussian"
        )
    jitter = (FLOOR * codes.var(0).mean()).sqrt()
    noise = torch.randn(codes.shape, generator=generator(seed, "jitter of codes"))
    codes = codes + jitter * noise
    scale = Scale(codes.mean(0), factor_of(covariance(codes)))
    return scale.apply(codes), scale


def most_steps(codes: int) -> int:
    """How many steps so many codes are learnt in, at the most."""
    epoch = _epoch(codes)
    return min(_MOST_STEPS, _MOST_EPOCHS * epoch, max(_FEWEST_STEPS, _EPOCHS * epoch))


def haste(codes: int) -> float:
    """How much further a step has to go than where there are as many steps as ever."""
    return _MOST_STEPS / most_steps(codes)


def _held_out(codes: int) -> int:
    return max(2, int(_HELD_OUT * codes))


def _epoch(codes: int) -> int:
    """The steps of one."""
    return -(-(codes - _held_out(codes)) // _BATCH)


def learn(module: nn.Module, loss: Loss, rows: Tensor, seed: int) -> None:
    """Train a module in place on white codes [N, d]. UserError where it learns nothing."""
    steps, epoch = most_steps(len(rows)), _epoch(len(rows))
    order = torch.randperm(len(rows), generator=generator(seed, "held-out codes"))
    held = rows[order[: _held_out(len(rows))]]
    rows = rows[order[len(held) :]]
    optimizer = torch.optim.Adam(module.parameters(), lr=_RATE)
    look_every = min(_LOOK_EVERY, _LOOK_EPOCHS * epoch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    noise, looks, learns = generator(seed, "learning a density"), 0, False

    @torch.no_grad()
    def of_held_out() -> float:
        return loss(held, generator(seed, "noise of held-out codes")).item()

    kept = deepcopy(module.state_dict())
    with threads(1):  # small layers wait for each other on more; sums are alike on any machine
        best = of_held_out()
        for step, batch in enumerate(_batches(rows, steps, seed), start=1):
            optimizer.zero_grad()
            loss(batch, noise).backward()
            nn.utils.clip_grad_norm_(module.parameters(), _CLIP)
            optimizer.step()
            schedule.step()
            if step % look_every and step < steps:
                continue
            found = of_held_out()
            looks += 1
            learns = learns or isfinite(found)
            if found < best or not isfinite(best):
                best, looks, kept = found, 0, deepcopy(module.state_dict())
            elif looks >= _PATIENCE:
                break
    module.load_state_dict(kept)
    if not learns:
        raise UserError("it learns nothing from these codes; use the sampler gmm")


def _batches(rows: Tensor, steps: int, seed: int) -> Iterator[Tensor]:
    """Batches of so many steps, each epoch in a new order."""
    order = generator(seed, "order of codes")
    while True:
        for chosen in torch.randperm(len(rows), generator=order).split(_BATCH):
            if not steps:
                return
            steps -= 1
            yield rows[chosen]
