"""Pictures of what a decoder makes of codes that no sample has: new ones, between, around, all.

They are for runs that can make samples: with a sampler, or a latent that has a prior.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from activae.data.module import AutoencoderDataModule
from activae.errors import UserError
from activae.models.densities.density import Density
from activae.models.densities.mixtures import standard
from activae.objectives.generative import prior_of
from activae.randomness import generator
from activae.results.diagnostics import as_colours, image_grid
from activae.results.sampler import FILE, network_hash, read
from activae.training.module import AutoencoderModule
from activae.training.restoring import Restored

log = logging.getLogger(__name__)

_STEPS = 8  # of a line through codes
_LINES = 8
_SIDE = 12  # images of a side of the plane
_REACH = 2.0  # standard deviations of the code, either way
_SEEN = 512  # samples whose codes say where codes lie


@torch.inference_mode()
def generated(
    model: AutoencoderModule | Restored,
    data: AutoencoderDataModule,
    folder: Path,
    images: int,
    *,
    in_a_sweep: bool,
) -> Iterator[tuple[str, Tensor]]:
    """Tag and picture [1|3, H', W'] of each; of a run in a sweep new samples alone."""
    net = model.net
    codes = net.encode(data.samples["val"][:_SEEN])
    density = _density(model, folder, codes.shape[1])
    if density is None:
        return

    def shown(made: Tensor, columns: int) -> Tensor:
        decoded = net.decode(prior_of(net, made.to(codes)))
        return as_colours(image_grid([data.to_unit(decoded)], columns=columns))

    yield "samples", shown(density.sample(images, generator(0, "samples")), _STEPS)
    if in_a_sweep:
        return
    if len(codes) > 1:
        ends = codes[: 2 * min(_LINES, len(codes) // 2)].unflatten(0, (-1, 2))
        yield "interpolations", shown(between(ends[:, 0], ends[:, 1]), _STEPS)
    yield "traversals", shown(along(codes), _STEPS)
    if codes.shape[1] == 2:
        yield "manifold", shown(plane(codes), _SIDE)


def _density(model: AutoencoderModule | Restored, folder: Path, width: int) -> Density | None:
    """The run's sampler, or else the prior of its latent; None: it has neither."""
    latent = model.net.latent
    if (folder / FILE).is_file():
        try:
            return read(folder / FILE, network_hash(model.net, model.normalisation), width).density
        except UserError as error:  # such as of a run that has trained on
            log.warning("no samples are shown: %s", error)
            return None
    has_prior = latent is not None and latent.kind in ("gaussian", "spherical")
    return standard(width) if has_prior else None


def between(first: Tensor, second: Tensor) -> Tensor:
    """Codes [lines * 8, d] on straight lines from codes [lines, d] to others."""
    shares = torch.linspace(0, 1, _STEPS, device=first.device)[:, None]
    return torch.lerp(first[:, None], second[:, None], shares).flatten(0, 1)


def along(codes: Tensor) -> Tensor:
    """The mean of codes [N, d], moved along the 8 dimensions that vary most: [lines * 8, d].

    From two standard deviations below to two above, in 8 steps.
    """
    spread = codes.std(0, correction=0)
    widest = spread.topk(min(_LINES, codes.shape[1])).indices
    moves = torch.linspace(-_REACH, _REACH, _STEPS, device=codes.device)
    lines = codes.mean(0).repeat(len(widest), _STEPS, 1)
    for line, dim in zip(lines, widest.tolist(), strict=True):
        line[:, dim] += moves * spread[dim]
    return lines.flatten(0, 1)


def plane(codes: Tensor) -> Tensor:
    """A grid over where codes [N, 2] lie, [12 * 12, 2], the second dimension upwards."""
    low, high = (codes.float().quantile(q, dim=0) for q in (0.02, 0.98))
    x, y = (torch.linspace(a, b, _SIDE) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    return torch.cartesian_prod(y.flip(0), x).flip(1)
