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

from activae.data.module import AutoencoderDataModule
from activae.results.diagnosis import PROBE_SAMPLES, diagnose
from activae.results.diagnostics import as_colours, reconstruction_grid, thumbnails
from activae.results.events import join_events, without_tensorflow
from activae.results.generated import generated
from activae.results.hparams import experiment_of_run, scores, session
from activae.results.recording import drawing
from activae.results.run_folder import TRAINING, overrides
from activae.training.module import AutoencoderModule
from activae.training.restoring import Restored

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

without_tensorflow()  # torch.utils.tensorboard is imported with the first event

LAYOUT = {  # of a run alone; beside others the mean curves of the sweep's summary say more
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
    """Writes events into the run folder itself; hides earlier ones from `first_step` on.

    training_apart: the training data's curves go into a folder below it. TensorBoard's colours tell
    runs apart, not curves, and it takes that folder for a run.
    """

    def __init__(
        self, folder: Path, first_step: int | None = None, *, training_apart: bool = False
    ) -> None:
        super().__init__(
            folder, name="", version="", default_hp_metric=False, purge_step=first_step
        )
        self._of_training: EventLogger | None = None
        if training_apart:
            self._of_training = EventLogger(folder / TRAINING, first_step)

    def writer_of(self, tag: str) -> SummaryWriter:
        """What writes the curve with that tag."""
        if self._of_training is not None and tag.endswith("/train"):
            return self._of_training.experiment
        return self.experiment

    def finalize(self, status: str) -> None:
        """Close the files."""
        super().finalize(status)
        if self._of_training is not None:
            self._of_training.finalize(status)

    def save(self) -> None:
        """Flush. Writes no hparams.yaml: config.yaml has all of it."""
        if self._experiment is not None:
            self._experiment.flush()


class TensorBoardLog(pl.Callback):
    """Writes the history's figures every epoch, and snapshots in `snapshots` of them.

    Snapshots are denser early in training, where most changes. They show originals above
    reconstructions, histograms of weights and activations, and for each layer the gradient norm
    and the share of dead and of saturated units, all on the same validation samples.

    alone: no other runs are trained beside it, so that charts may show several of its curves.
    """

    def __init__(self, snapshots: int, images: int, *, alone: bool = True) -> None:
        self.snapshots = snapshots
        self.images = images
        self.alone = alone
        self._epochs: set[int] = set()
        self._phase = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the snapshots' epochs and lay out the charts that show several curves."""
        assert isinstance(pl_module, AutoencoderModule)
        epochs = -(-pl_module.total_steps // pl_module.data.steps_per_epoch)
        self._epochs = snapshot_epochs(epochs, self.snapshots)
        if self.alone and pl_module.step == 0:
            _logger(trainer).experiment.add_custom_scalars(LAYOUT)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's figures, and a snapshot in the epochs chosen for one."""
        assert isinstance(pl_module, AutoencoderModule)
        logger = _logger(trainer)
        writer = logger.experiment
        step = pl_module.step
        for name, value in pl_module.row.items():
            if name not in ("step", "seconds", "phase"):
                logger.writer_of(name).add_scalar(name, value, step)
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
    *,
    in_a_sweep: bool = False,
) -> None:
    """Add the results of the best checkpoint to the run's TensorBoard events."""
    logger = EventLogger(folder)
    try:
        _show_scores(logger.experiment, cfg, metrics, model.step, in_a_sweep=in_a_sweep)
        _show_pictures(logger.experiment, cfg, model, data)
        if data.source.is_image and cfg.logger.images:
            count = cfg.logger.images
            made = generated(model, data, folder, count, in_a_sweep=in_a_sweep)
            for tag, shown in made:
                logger.experiment.add_image(tag, shown, model.step)
    finally:
        logger.finalize("success")
        for where in (folder, folder / TRAINING):
            join_events(where)


def show_samples_anew(
    cfg: DictConfig, run: Restored, data: AutoencoderDataModule, folder: Path, step: int
) -> None:
    """Add the picture of what a finished run's sampler draws, which was fitted after the others."""
    if not (cfg.logger.tensorboard and cfg.logger.images and data.source.is_image):
        return
    logger = EventLogger(folder)
    try:
        for tag, shown in generated(run, data, folder, cfg.logger.images, in_a_sweep=True):
            logger.experiment.add_image(tag, shown, step)
    finally:
        logger.finalize("success")
        join_events(folder)


def _show_scores(
    writer: SummaryWriter,
    cfg: DictConfig,
    metrics: dict[str, Any],
    step: int,
    *,
    in_a_sweep: bool,
) -> None:
    """The scores, and the run's line of the HPARAMS page; of a run alone its columns too."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    for tag, value in scores(metrics).items():
        writer.add_scalar(tag, value, step)
    lines = overrides(Path(writer.log_dir)) or []
    values = session(cfg, lines)
    if not in_a_sweep:
        values.append(experiment_of_run(cfg, lines))
    assert writer.file_writer is not None, "it is open"
    writer.file_writer.add_summary(Summary(value=values))


def _show_pictures(
    writer: SummaryWriter, cfg: DictConfig, model: AutoencoderModule, data: AutoencoderDataModule
) -> None:
    """Reconstructions, and the codes in the projector."""
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


def _names(data: AutoencoderDataModule, labels: list[int]) -> list[str]:
    """A word for each label. The projector reads them by line: no line is empty or broken."""
    names = data.source.class_names
    if not names:
        return [str(label) for label in labels]
    words = [" ".join(name.split()) or "(blank)" for name in names]
    return [words[label] for label in labels]


def _logger(trainer: pl.Trainer) -> EventLogger:
    logger = trainer.logger
    assert isinstance(logger, EventLogger)
    return logger
