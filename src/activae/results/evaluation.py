"""Scoring a trained run beside PCA, with the best checkpoint."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from activae.data.module import EVALUATION_ROWS, AutoencoderDataModule
from activae.randomness import generator
from activae.results.pca import PCA
from activae.results.scores import DISTANCE, ReconstructionScores
from activae.training.checkpoint import BEST, load_checkpoint
from activae.training.files import parts_of
from activae.training.module import AutoencoderModule
from activae.training.shared import Shared, data_key

# Of the training split so many samples are scored, the same for all runs on the data: the standard
# error of a mean over them is a hundredth of a sample's deviation.
TRAIN_SAMPLES = 10_000

# Shares of the variance below this are float32's rounding: (6e-8)^2, times some thousand features.
ROUNDING = 1e-10

Scores = dict[str, dict[str, float | None] | None]
Known = dict[str, Tensor]


def score(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    folder: Path,
    shared: Shared,
) -> dict[str, Any]:
    """The run's figures with its best checkpoint, PCA's beside them: what metrics.json holds.

    Leaves the model with the weights of that checkpoint, in evaluation mode, beside the data. With
    `score.test=false` the test split is not looked at, and its scores are None.
    """
    best = load_checkpoint(folder / BEST)
    # A fit leaves the network on the CPU; a run resumed after its last step had none.
    device, dtype = data.samples["train"].device, best["state_dict"]["normalisation.scale"].dtype
    data.to(device, dtype)
    model.to(device, dtype)
    with parts_of(folder / BEST):
        model.load_state_dict(best["state_dict"])
        reached = {"best_epoch": best["epoch"], "best_step": best["global_step"]}
    model.eval()
    on, dim = (data_key(cfg), str((dtype, device)), cfg.score.test), cfg.encoding.dim
    reference = shared.once(on, lambda: Reference.of(data, test=cfg.score.test))
    metrics: dict[str, Any] = {**score_splits(data, reference, model.net)}
    pca = shared.once((*on, dim), lambda: score_pca(data, reference, dim))
    metrics["pca"] = {"dim": dim, **pca}
    metrics |= {
        "ratio_to_pca": ratio_to_pca("SE", metrics["test"], pca["test"]),
        "train_samples": reference.count("train"),
        **reached,
        "steps": model.step,
        "parameters": sum(p.numel() for p in model.net.parameters()),
        "steps_per_second": model.step / model.seconds,
        "seconds": {"fit": model.seconds},
        "peak_memory_mb": peak_memory_mb(),
        "device": str(device),
    }
    return metrics


def is_exact(scores: Mapping[str, float | None]) -> bool:
    """Whether the error is one of rounding alone, such as PCA's with as many dimensions as data."""
    explained = scores["explained_variance"]
    return explained is not None and 1 - explained < ROUNDING


def ratio_to_pca(
    name: str, run: Mapping[str, float | None] | None, pca: Mapping[str, float | None] | None
) -> float | None:
    """How many times PCA's error a run's is; None where one is not known, or PCA is exact."""
    if run is None or pca is None or is_exact(pca):
        return None
    error, least = run[name], pca[name]
    return error / least if error is not None and least else None


@dataclass(frozen=True, eq=False)
class Reference:
    """What scoring takes from the data alone, found once for all runs on them.

    Attributes:
        pca: fitted on the training split.
        mean: of the training split [*shape].
        rows: which training samples are scored, int64 [n]; None: all.
        known: for each split that is scored, what ReconstructionScores need not compute again: on
            the scale of the network, and on [0, 1] where pictures are scored there.
        pictured: the split on which structural similarity, the dearest of the scores, is taken.
    """

    pca: PCA
    mean: Tensor
    rows: Tensor | None
    known: dict[str, tuple[Known, Known]]
    pictured: str

    @classmethod
    @torch.inference_mode()
    def of(cls, data: AutoencoderDataModule, *, test: bool) -> Reference:
        """That of the data as they are now, with or without their test split."""
        train = data.samples["train"]
        rows = None
        if len(train) > TRAIN_SAMPLES:
            noise = generator(data.split_seed, "scored training samples")
            rows = torch.randperm(len(train), generator=noise)[:TRAIN_SAMPLES].sort().values
        stages = ("train", "val", "test") if test else ("train", "val")
        made = cls(PCA.fit(train), train.mean(0), rows, {}, stages[-1])
        for stage in stages:
            found = [
                [scores.known(data.to_unit(x) if unit else x) for x in made.samples(data, stage)]
                for unit, scores in enumerate(made.scores(data, stage))
            ]
            normalised, unit = ([*found, []])[:2]
            made.known[stage] = (_joined(normalised), _joined(unit))
        return made

    def count(self, stage: str) -> int:
        """How many samples of a split are scored."""
        return len(self.known[stage][0][DISTANCE])

    def samples(self, data: AutoencoderDataModule, stage: str) -> Iterator[Tensor]:
        """The samples of a split that are scored, in parts."""
        samples = data.samples[stage]
        if stage != "train" or self.rows is None:
            return iter(samples.split(EVALUATION_ROWS))
        chosen = self.rows.to(samples.device).split(EVALUATION_ROWS)
        return (samples.index_select(0, rows) for rows in chosen)

    def scores(self, data: AutoencoderDataModule, stage: str) -> list[ReconstructionScores]:
        """What gathers a split's scores: on the network's scale, and on [0, 1] if that differs."""
        low, high = data.spec.normalised_range
        pictured = data.spec.is_image and stage == self.pictured
        made = [
            ReconstructionScores(train_mean=self.mean, value_span=high - low, is_image=pictured)
        ]
        if data.normalisation_kind != "unit_range" and data.spec.is_image:
            mean = data.to_unit(self.mean[None])[0]
            made.append(ReconstructionScores(train_mean=mean, value_span=1.0, is_image=pictured))
        return made


def _joined(parts: list[Known]) -> Known:
    names = set.intersection(*map(set, parts)) if parts else set()
    return {name: torch.cat([part[name] for part in parts]) for name in sorted(names)}


@torch.inference_mode()
def score_pca(data: AutoencoderDataModule, reference: Reference, dim: int) -> Scores:
    """The scores of PCA with `dim` components, fitted on the training split."""
    return score_splits(data, reference, lambda x: reference.pca.reconstruct(x, dim))


@torch.inference_mode()
def score_splits(
    data: AutoencoderDataModule, reference: Reference, reconstruct: Callable[[Tensor], Tensor]
) -> Scores:
    """Every split's scores; those of pictures are taken on [0, 1], however normalised."""
    scores: Scores = dict.fromkeys(("train", "val", "test"))
    for stage, (known, known_unit) in reference.known.items():
        normalised, *unit = reference.scores(data, stage)
        first = 0
        for x in reference.samples(data, stage):
            y = reconstruct(x)
            last = first + len(x)
            normalised.update(x, y, {name: value[first:last] for name, value in known.items()})
            for each in unit:
                part = {name: value[first:last] for name, value in known_unit.items()}
                each.update(data.to_unit(x), data.to_unit(y), part)
            first = last
        found = normalised.compute()
        for each in unit:
            of_images = each.compute()
            found |= {name: of_images[name] for name in ("BCE", "PSNR", "SSIM")}
        scores[stage] = {name: finite(value) for name, value in found.items()}
    return scores


def finite(value: float | None) -> float | None:
    """JSON knows no infinity: a perfect reconstruction has no PSNR."""
    return value if value is not None and math.isfinite(value) else None


def peak_memory_mb() -> dict[str, float]:
    """The process's peak resident memory and, on a GPU, the peak of torch's allocations, in MB."""
    scale = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes there, kB elsewhere
    peak: dict[str, Any] = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale}
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated() / 1e6
    return peak
