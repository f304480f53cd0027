"""What TensorBoard shows of a finished run: hyper-parameters beside scores, codes to turn about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from activae.config.instantiating import label
from activae.data.module import AutoencoderDataModule
from activae.results.diagnostics import thumbnails
from activae.results.tensorboard import EventLogger, picture
from activae.training.module import AutoencoderModule

# The same for every run: TensorBoard takes the columns of all from the first.
SCORES = ("SE", "MSE", "BCE", "PSNR", "SSIM", "explained_variance")


def show_results(
    cfg: DictConfig,
    model: AutoencoderModule,
    data: AutoencoderDataModule,
    metrics: dict[str, Any],
    folder: Path,
) -> None:
    """Add the results of the best checkpoint to the run's TensorBoard events."""
    logger = EventLogger(folder)
    logger.log_hyperparams(hyper_parameters(cfg), metrics=_scalars(metrics))
    writer = logger.experiment
    stage = "test" if cfg.score.test else "val"
    samples = data.samples[stage]
    if data.source.is_image and cfg.logger.images:
        shown = picture(model, samples[: cfg.logger.images])
        writer.add_image(f"reconstructions/{stage}", shown, model.step)
    count = min(cfg.logger.projector_samples, len(samples))
    if count:
        labels = data.labels[stage]
        with torch.no_grad():
            codes = model.net.encode(samples[:count])
        writer.add_embedding(
            codes,
            metadata=None if labels is None else _names(data, labels[:count].tolist()),
            label_img=thumbnails(data.to_unit(samples[:count])) if data.source.is_image else None,
            global_step=model.step,
            tag="code",
        )
    logger.finalize("success")


def hyper_parameters(cfg: DictConfig) -> dict[str, Any]:
    """What tells runs apart, a short word for each."""
    return {
        "activation": label(cfg.activation),
        "encoder": label(cfg.encoder),
        "encoder.activation": label(cfg.encoder.get("activation")),
        "decoder": label(cfg.decoder),
        "decoder.activation": label(cfg.decoder.get("activation")),
        "encoding.dim": cfg.encoding.dim,
        "encoding.activation": label(cfg.encoding.activation),
        "output.activation": label(cfg.output.activation or "by the data's range"),
        "init": label(cfg.init),
        "objective": label(cfg.objective.get("reconstruction", cfg.objective)),
        "l1": cfg.objective.get("l1", 0.0),
        "l2": cfg.objective.get("l2", 0.0),
        "regulariser": ", ".join(label(node) for node in cfg.regulariser.values()) or "none",
        "corruption": label(cfg.corruption),
        "phases": label(cfg.phases),
        "optimizer": str(cfg.optimizer["_target_"]).rsplit(".", 1)[-1],
        "lr": cfg.optimizer.get("lr"),
        "weight_decay": cfg.optimizer.get("weight_decay", 0.0),
        "scheduler": label(cfg.scheduler),
        "data": cfg.data.name,
        "batch_size": cfg.data.batch_size,
        "train_fraction": cfg.data.train_fraction,
        "normalisation": cfg.data.normalisation,
        "max_epochs": cfg.trainer.max_epochs,
        "seed": cfg.seed,
    }


def _scalars(metrics: dict[str, Any]) -> dict[str, float]:
    nan = float("nan")
    scores = {
        f"{stage}/{name}": (metrics[stage] or {}).get(name)
        for stage in ("test", "val")
        for name in SCORES
    }
    scores["ratio_to_pca"] = metrics["ratio_to_pca"]
    return {name: nan if value is None else value for name, value in scores.items()}


def _names(data: AutoencoderDataModule, labels: list[int]) -> list[str]:
    names = data.source.class_names
    return [names[label] if names else str(label) for label in labels]
