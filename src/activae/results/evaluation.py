"""Scoring a trained run beside PCA, on every split, with the best checkpoint."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from activae.data.module import EVALUATION_ROWS, AutoencoderDataModule
from activae.models import Autoencoder
from activae.results.pca import PCA
from activae.results.scores import ReconstructionScores
from activae.training.checkpoint import BEST, load_checkpoint
from activae.training.module import AutoencoderModule

Scores = dict[str, dict[str, float | None]]


def score(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    folder: Path,
    pca: Callable[[], Scores],
) -> dict[str, Any]:
    """The run's figures with its best checkpoint, PCA's beside them: what metrics.json holds."""
    best = load_checkpoint(folder / BEST)
    # A fit leaves the network on the CPU; a run resumed after its last step had none.
    device, dtype = data.samples["train"].device, best["state_dict"]["normalisation.scale"].dtype
    data.to(device, dtype)
    model.to(device, dtype).load_state_dict(best["state_dict"])
    metrics: dict[str, Any] = {**score_splits(model.net, data)}
    metrics["pca"] = {"dim": cfg.encoding.dim, **pca()}
    metrics |= {
        "ratio_to_pca": _ratio(metrics["test"]["SE"], metrics["pca"]["test"]["SE"]),
        "best_epoch": best["epoch"],
        "best_step": best["global_step"],
        "steps": model.step,
        "parameters": sum(p.numel() for p in model.net.parameters()),
        "steps_per_second": model.step / model.seconds,
        "seconds": {"fit": model.seconds},
        "peak_memory_mb": peak_memory_mb(),
        "device": str(data.samples["train"].device),
    }
    return metrics


def _ratio(run: float | None, pca: float | None) -> float | None:
    return run / pca if run is not None and pca else None


@torch.inference_mode()
def score_splits(net: Autoencoder, data: AutoencoderDataModule) -> Scores:
    """The scores of the network's reconstructions on train, val and test."""
    net.eval()
    return _score(data, net)


@torch.inference_mode()
def score_pca(data: AutoencoderDataModule, dim: int) -> Scores:
    """The scores of PCA with `dim` components, fitted on the training split."""
    pca = PCA.fit(data.samples["train"])
    return _score(data, lambda x: pca.reconstruct(x, dim))


def _score(data: AutoencoderDataModule, reconstruct: Callable[[Tensor], Tensor]) -> Scores:
    """Every split's scores; those of pictures are taken on [0, 1], however normalised."""
    as_they_are = data.normalisation_kind == "unit_range" or not data.source.is_image
    mean = data.samples["train"].mean(0)
    low, high = data.normalisation.target_range.tolist()
    scores = {}
    for stage, samples in data.samples.items():
        normalised = ReconstructionScores(
            train_mean=mean, value_span=high - low, is_image=data.source.is_image
        )
        unit = ReconstructionScores(
            train_mean=data.to_unit(mean[None])[0], value_span=1.0, is_image=data.source.is_image
        )
        for x in samples.split(EVALUATION_ROWS):
            y = reconstruct(x)
            normalised.update(x, y)
            if not as_they_are:
                unit.update(data.to_unit(x), data.to_unit(y))
        found = normalised.compute()
        if not as_they_are:
            of_images = unit.compute()
            found |= {name: of_images[name] for name in ("BCE", "PSNR", "SSIM")}
        scores[stage] = {name: _finite(value) for name, value in found.items()}
    return scores


def _finite(value: float | None) -> float | None:
    """JSON knows no infinity: a perfect reconstruction has no PSNR."""
    return value if value is not None and math.isfinite(value) else None


def peak_memory_mb() -> dict[str, float]:
    """The process's peak resident memory and, on a GPU, the peak of torch's allocations, in MB."""
    scale = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes there, kB elsewhere
    peak: dict[str, Any] = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale}
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated() / 1e6
    return peak
