"""What TensorBoard shows of a run: figures each epoch; pictures, histograms, layers at times."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from activae.objectives.declared import total
from activae.results.diagnostics import (
    activation_statistics,
    effective_rank,
    gradient_norms,
    reconstruction_grid,
)
from activae.training.module import AutoencoderModule

# TensorBoard's own switch against importing TensorFlow, where it is installed: that takes seconds,
# and files on disk need none of it. It is asked when torch.utils.tensorboard is imported.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))

from torch.utils.tensorboard import SummaryWriter  # noqa: E402

PROBE_SAMPLES = 256
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
        """Flush; no hparams.yaml, for config.yaml says all it would."""
        self.experiment.flush()


class TensorBoardLog(pl.Callback):
    """Writes the history's figures every epoch, and at `snapshots` of them what costs more.

    Snapshots lie closer together early in training, where most changes. They show originals above
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
        """Write the epoch's figures, and a snapshot if it is this epoch's turn."""
        assert isinstance(pl_module, AutoencoderModule)
        writer = _writer(trainer)
        step = pl_module.step
        for name, value in pl_module.row.items():
            if name not in ("step", "seconds", "phase"):
                writer.add_scalar(name, value, step)
        if "phase" in pl_module.row:
            self._show_phase(writer, pl_module, step)
        if pl_module.epoch in self._epochs:
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
        probe = model.data.samples["val"][:PROBE_SAMPLES]
        net.eval()
        with torch.no_grad():
            codes = net.encode(probe)
        writer.add_scalar("code/effective_rank", effective_rank(codes), step)
        loss = total(model.terms(probe))
        for layer, norm in gradient_norms(net.named_parameters(), loss).items():
            writer.add_scalar(f"gradient_norm/{layer}", norm, step)
        statistics = activation_statistics(net.activations(), lambda: net(probe))
        for name, found in statistics.items():
            writer.add_scalar(f"dead/{name}", found.dead_fraction, step)
            writer.add_scalar(f"saturated/{name}", found.saturated_fraction, step)
            writer.add_histogram(f"activations/{name}", found.outputs, step)
        for name, weight in net.weights():
            writer.add_histogram(f"weights/{name.removesuffix('.weight')}", weight, step)
        writer.add_histogram("code", codes, step)
        if model.data.source.is_image and self.images:
            writer.add_image("reconstructions", picture(model, probe[: self.images]), step)
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
    """Normalised images [n, C, H, W] above their reconstructions, in one picture [C, H', W']."""
    data = model.data
    return reconstruction_grid(data.to_unit(samples), data.to_unit(model.net(samples)))


def _writer(trainer: pl.Trainer) -> SummaryWriter:
    logger = trainer.logger
    assert isinstance(logger, EventLogger)
    return logger.experiment
