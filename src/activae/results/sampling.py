"""After training: the sampler that a run's config asks for, fitted to the codes of its data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from activae.config.instantiating import build
from activae.config.settling import container, sampler_kind
from activae.config.wording import wrapped
from activae.data.module import EVALUATION_ROWS, AutoencoderDataModule
from activae.errors import UserError
from activae.models import Autoencoder
from activae.models.densities.kinds import MOST_CODES, rows_to_fit, settings_of
from activae.results.sampler import (
    FILE,
    Labels,
    Recipe,
    fit,
    kept_recipe,
    network_hash,
    save,
)
from activae.training.restoring import Restored, load_network

log = logging.getLogger(__name__)


def training_codes(
    encode: Callable[[Tensor], Tensor], data: AutoencoderDataModule, seed: int
) -> tuple[Tensor, Labels | None]:
    """Codes [n, ...] of at most 50,000 samples of the training split, and their labels by name."""
    samples, labels = data.samples["train"], data.labels["train"]
    rows = rows_to_fit(len(samples), MOST_CODES, seed)
    with torch.inference_mode():
        parts = [
            encode(samples[chosen.to(samples.device)]).cpu()
            for chosen in rows.split(EVALUATION_ROWS)
        ]
    if labels is None:
        return torch.cat(parts), None
    known, names = labels.cpu()[rows].numpy(), data.source.class_names
    return torch.cat(parts), np.array(names)[known] if names else known


def wanted(cfg: DictConfig) -> partial[Any] | None:
    """What fits the sampler that a settled config asks for; None: it asks for none."""
    if sampler_kind(cfg) is None:
        return None
    made = build(container(cfg.sampler), "sampler")
    assert isinstance(made, partial)
    return made


def fit_own(
    cfg: DictConfig,
    net: Autoencoder,
    normalisation: nn.Module,
    data: AutoencoderDataModule,
    folder: Path,
) -> None:
    """Fit the sampler that a run's config asks for to its training codes, and keep it.

    A run whose codes no density fits is none the less complete: the log says why.
    """
    make = wanted(cfg)
    if make is None:
        return
    try:
        codes, labels = training_codes(net.encode, data, cfg.seed)
        network = network_hash(net, normalisation)
        settings = {"labels": labels, "seed": cfg.seed, **make.keywords}
        started = perf_counter()
        found = fit(make.func, codes, network, **settings)
        save(found, folder)
    except UserError as error:
        log.warning("%s", wrapped(f"note   sampler={make.func.__name__}: is not fitted: {error}"))
    except Exception:
        log.warning(
            "%s: no sampler could be fitted; scores are not affected:", folder, exc_info=True
        )
    else:
        for note in found.notes:
            log.warning("%s", wrapped(f"note   sampler: {note}"))
        log.info("%s", wrapped(f"sampler {found}{found.took(perf_counter() - started)}"))


def fit_missing(
    cfg: DictConfig, folder: Path, data: Callable[[], AutoencoderDataModule]
) -> Restored | None:
    """Fit the sampler that a config asks for to the run of that config which has ended in a folder.

    Nothing is done where it lies there already. A sampler is no part of what a run's id stands for.
    Returns the run that was given one, whose new samples are others now.
    """
    make = wanted(cfg)
    if make is None:
        return None
    recipe = Recipe(make.func.__name__, settings_of(make.func, make.keywords), cfg.seed)
    if kept_recipe(folder / FILE) == recipe:
        return None
    log.info("%s", wrapped(f"{folder}: is done, and gets the sampler {recipe.kind}"))
    found = load_network(folder, list(cfg.trusted_modules))
    fit_own(cfg, found.net, found.normalisation, data(), folder)
    return found
