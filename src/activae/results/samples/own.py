"""The stage of a run that scores its samples, and what it shares with finished runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from activae.config.wording import wrapped
from activae.data.module import EVALUATION_ROWS, AutoencoderDataModule
from activae.errors import UserError
from activae.models import Autoencoder
from activae.results.extending import INDEX
from activae.results.sampler import FILE, draw_codes, network_hash, read
from activae.results.samples.scoring import Reference, Splits, score_samples
from activae.training.shared import Shared, data_key

log = logging.getLogger(__name__)


def kept_in(folder: Path) -> Path:
    """Where a run's feature network is kept: with its sweep, whose runs all need the same."""
    above = folder.resolve().parent
    return above if (above / INDEX).is_file() else folder


def score_own(
    cfg: DictConfig,
    net: Autoencoder,
    normalisation: Any,
    data: AutoencoderDataModule,
    folder: Path,
    shared: Shared,
) -> dict[str, Any] | None:
    """The figures of samples by the sampler that a run has kept; None, with a note, without them.

    A run whose samples cannot be scored is none the less complete.
    """

    def reference() -> Reference:
        splits = Splits.of(data, test=cfg.score.test)
        return Reference.of(splits, splits.features(kept_in(folder)))

    @torch.inference_mode()
    def in_parts(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        like = next(net.parameters())
        return torch.cat([function(part.to(like)) for part in x.split(EVALUATION_ROWS)])

    try:
        sampler = read(folder / FILE, network_hash(net, normalisation), cfg.encoding.dim)
        on = ("samples", data_key(cfg), str(data.samples["train"].device), cfg.score.test)
        found = score_samples(
            shared.once(on, reference),
            lambda n: in_parts(net.decode, draw_codes(net, sampler, n, cfg.seed)),
            lambda x: in_parts(net, x),
            str(sampler),
        )
    except (UserError, OSError) as error:
        log.warning("%s", wrapped(f"note   samples are not scored: {error}"))
        return None
    return found.as_metrics()
