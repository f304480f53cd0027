"""What TensorBoard shows of a run: figures each epoch; pictures, histograms, layers at times.

When it has ended: hyper-parameters beside scores, and the codes in the projector.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from activae.config.instantiating import activation_label, label
from activae.data.module import AutoencoderDataModule
from activae.results.diagnosis import PROBE_SAMPLES, diagnose
from activae.results.diagnostics import as_colours, reconstruction_grid, thumbnails
from activae.results.events import without_tensorflow
from activae.results.recording import drawing
from activae.training.module import AutoencoderModule

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

without_tensorflow()  # torch.utils.tensorboard is imported with the first event

# The same for every run: TensorBoard takes the columns of all from the first.
SCORES = ("SE", "MSE", "BCE", "PSNR", "SSIM", "explained_variance")
SCORES_OF_VAL = tuple(name for name in SCORES if name != "SSIM")  # which test alone has
LAYOUT = {
    "training": {
        "squared error": ["Multiline", ["SE/train", "SE/val"]],
        "loss": ["Multiline", ["loss/train", "loss/val"]],
        "generalisation gap (val - train)": ["Multiline", ["gap/SE"]],
    },
    "layers": {
        "gradient norm": ["Multiline", ["gradient_norm/.*"]],
        "dead units": ["Multiline", ["dead/.*"]],
        "saturated units": ["Multiline", ["saturated/.*"]],
    },
}


class EventLogger(TensorBoardLogger):
    """Writes events into the run folder itself; hides earlier ones from `first_step` on."""

    def __init__(self, folder: Path, first_step: int | None = None) -> None:
        super().__init__(
            folder, name="", version="", default_hp_metric=False, purge_step=first_step
        )

    def save(self) -> None:
        """Flush. Writes no hparams.yaml: config.yaml has all of it."""
        self.experiment.flush()


class TensorBoardLog(pl.Callback):
    """Writes the history's figures every epoch, and snapshots in `snapshots` of them.

    Snapshots are denser early in training, where most changes. They show originals above
    reconstructions, histograms of weights and activations, and for each layer the gradient norm
    and the share of dead and of saturated units, all on the same validation samples.
    """

    def __init__(self, snapshots: int, images: int) -> None:
        self.snapshots = snapshots
        self.images = images
        self._epochs: set[int] = set()
        self._phase = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the snapshots' epochs and lay out the charts that show several curves."""
        assert isinstance(pl_module, AutoencoderModule)
        epochs = -(-pl_module.total_steps // pl_module.data.steps_per_epoch)
        self._epochs = snapshot_epochs(epochs, self.snapshots)
        if pl_module.step == 0:
            _writer(trainer).add_custom_scalars(LAYOUT)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's figures, and a snapshot in the epochs chosen for one."""
        assert isinstance(pl_module, AutoencoderModule)
        writer = _writer(trainer)
        step = pl_module.step
        for name, value in pl_module.row.items():
            if name not in ("step", "seconds", "phase"):
                writer.add_scalar(name, value, step)
        if "phase" in pl_module.row:
            self._show_phase(writer, pl_module, step)
        passed = range(pl_module.epoch + 1 - pl_module.data.check_every, pl_module.epoch + 1)
        if not self._epochs.isdisjoint(passed):
            with drawing(writer.log_dir):
                self._snapshot(writer, pl_module, step)

    def _show_phase(self, writer: SummaryWriter, model: AutoencoderModule, step: int) -> None:
        """The number of the phase as a curve, and where each begins in words."""
        number = model.phases.index(model.phase) + 1
        writer.add_scalar("phase", number, step)
        if number != self._phase:
            writer.add_text("phase", f"{number} of {len(model.phases)}: {model.phase.name}", step)
            self._phase = number

    def _snapshot(self, writer: SummaryWriter, model: AutoencoderModule, step: int) -> None:
        net = model.net
        found = diagnose(model)
        writer.add_scalar("code/effective_rank", found.effective_rank, step)
        for name, norm in found.gradient_norm.items():
            writer.add_scalar(f"gradient_norm/{name}", norm, step)
        for name, layer in found.activations.items():
            writer.add_scalar(f"dead/{name}", layer.dead_fraction, step)
            writer.add_scalar(f"saturated/{name}", layer.saturated_fraction, step)
            writer.add_histogram(f"activations/{name}", layer.outputs, step)
        for name, weight in net.weights():
            writer.add_histogram(f"weights/{name.removesuffix('.weight')}", weight, step)
        writer.add_histogram("code", found.codes, step)
        if model.data.source.is_image and self.images:
            shown = model.data.samples["val"][: min(self.images, PROBE_SAMPLES)]
            writer.add_image("reconstructions", picture(model, shown), step)
        net.train()


def snapshot_epochs(epochs: int, snapshots: int) -> set[int]:
    """At most `snapshots` of the epochs 0 to `epochs` - 1, evenly by ratio.

    The last is among them, and with two or more so is the first.
    """
    if snapshots < 2:
        return {epochs - 1} if snapshots else set()
    spread = torch.logspace(0, torch.tensor(float(epochs)).log10().item(), snapshots)
    return {min(epochs, max(1, round(number))) - 1 for number in spread.tolist()}


@torch.no_grad()
def picture(model: AutoencoderModule, samples: Tensor) -> Tensor:
    """Normalised images [n, C, H, W] above their reconstructions, in one picture [1|3, H', W']."""
    data = model.data
    return as_colours(reconstruction_grid(data.to_unit(samples), data.to_unit(model.net(samples))))


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
            label_img=(
                as_colours(thumbnails(data.to_unit(samples[:count])))
                if data.source.is_image
                else None
            ),
            global_step=model.step,
            tag="code",
        )
    logger.finalize("success")


def hyper_parameters(cfg: DictConfig) -> dict[str, Any]:
    """What tells runs apart, a short word for each."""
    return {
        "activation": activation_label(cfg),
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
        for stage, names in (("test", SCORES), ("val", SCORES_OF_VAL))
        for name in names
    }
    scores["ratio_to_pca"] = metrics["ratio_to_pca"]
    return {name: nan if value is None else value for name, value in scores.items()}


def _names(data: AutoencoderDataModule, labels: list[int]) -> list[str]:
    """A word for each label. The projector reads them by line: no line is empty or broken."""
    names = data.source.class_names
    if not names:
        return [str(label) for label in labels]
    words = [" ".join(name.split()) or "(blank)" for name in names]
    return [words[label] for label in labels]


def _writer(trainer: pl.Trainer) -> SummaryWriter:
    logger = trainer.logger
    assert isinstance(logger, EventLogger)
    return logger.experiment
