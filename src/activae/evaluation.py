"""Scoring a trained run beside PCA, on every split, with the best checkpoint."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from activae.data.module import EVALUATION_ROWS, AutoencoderDataModule
from activae.models import Autoencoder
from activae.models.autoencoder import AutoencoderModule
from activae.run_folder import BEST, load_checkpoint
from activae.scoring import PCA, ReconstructionScores

Scores = dict[str, dict[str, float | None]]


def score(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    folder: Path,
    started: float,
) -> dict[str, Any]:
    """The run's figures with its best checkpoint, and PCA's beside them: what metrics.json holds.

    `started` is the perf_counter() of the run's start.
    """
    best = load_checkpoint(folder / BEST)
    model.load_state_dict(best["state_dict"])
    metrics: dict[str, Any] = {"status": "completed", **score_splits(model.net, data)}
    metrics["pca"] = {"dim": cfg.encoding.dim, **score_pca(data, cfg.encoding.dim)}
    metrics |= {
        "ratio_to_pca": _ratio(metrics["test"]["SE"], metrics["pca"]["test"]["SE"]),
        "best_epoch": best["epoch"],
        "best_step": best["global_step"],
        "steps": model.step,
        "parameters": sum(p.numel() for p in model.net.parameters()),
        "steps_per_second": model.step / model.seconds,
        "seconds": {"fit": model.seconds, "all": perf_counter() - started},
        "peak_memory_mb": peak_memory_mb(),
        "device": str(data.samples["train"].device),
    }
    return metrics


def _ratio(run: float | None, pca: float | None) -> float | None:
    return run / pca if run is not None and pca else None


@torch.inference_mode()
def score_splits(net: Autoencoder, data: AutoencoderDataModule) -> Scores:
    """The scores of the network's reconstructions on train, val and test, float32 on its device."""
    net.eval()
    return _score(data, net)


@torch.inference_mode()
def score_pca(data: AutoencoderDataModule, dim: int) -> Scores:
    """The scores of PCA with `dim` components, fitted on the training split."""
    pca = PCA.fit(data.samples["train"])
    return _score(data, lambda x: pca.reconstruct(x, dim))


def _score(data: AutoencoderDataModule, reconstruct: Callable[[Tensor], Tensor]) -> Scores:
    train = data.samples["train"]
    low, high = data.normalisation.target_range.tolist()
    scores = {}
    for stage, samples in data.samples.items():
        gathered = ReconstructionScores(
            train_mean=train.mean(0), value_span=high - low, is_image=data.source.is_image
        )
        for x in samples.split(EVALUATION_ROWS):
            gathered.update(x, reconstruct(x))
        scores[stage] = {name: _finite(value) for name, value in gathered.compute().items()}
    return scores


def _finite(value: float | None) -> float | None:
    """JSON knows no infinity: a perfect reconstruction has no PSNR."""
    return value if value is not None and math.isfinite(value) else None


def peak_memory_mb() -> dict[str, float]:
    """The process's peak resident memory and, on a GPU, the peak of torch's allocations, in MB."""
    scale = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes there, kB elsewhere
    peak: dict[str, Any] = {
        "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
    }
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated() / 1e6
    return peak
