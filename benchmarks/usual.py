"""The usual Lightning way: what its tutorials teach, with nothing on that would slow it further.

Automatic optimisation, `self.log` in `training_step`, a DataLoader with shuffling over a data set
that hands out one sample at a time: torchvision's MNIST with ToTensor. Checkpoints, logger,
progress bar and model summary are off, for our bare loop has none of them either; all else is
Lightning's default, the number of threads too.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.laps import Laps
from benchmarks.lightning_laps import LightningLaps
from benchmarks.torch_loops import network
from benchmarks.workload import MNIST, WORKLOADS, Task, Workload, training_samples


class PlainAutoencoder(pl.LightningModule):
    """Lightning's introductory example with the article's network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """The mean squared error of a batch, logged."""
        x = batch[0].view(batch[0].size(0), -1)
        loss = F.mse_loss(self.net(x), x)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam as torch sets it up by default."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def in_process(task: Task, laps: Laps) -> None:
    """Batches made in the training process, the DataLoader's default."""
    _fit(task, laps, workers=0)


def with_workers(task: Task, laps: Laps) -> None:
    """Batches made by as many loader processes as there are cores, which live on between epochs."""
    _fit(task, laps, workers=len(os.sched_getaffinity(0)))


def _fit(task: Task, laps: Laps, workers: int) -> None:
    workload = WORKLOADS[task.workload]
    loader: DataLoader[Any] = DataLoader(
        _data_set(workload, Path(task.data_root)),
        batch_size=workload.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    laps.facts["threads"] = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=-1,
            limit_train_batches=workload.steps_per_epoch,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.callbacks.append(  # type: ignore[attr-defined]
            LightningLaps(laps, task.epochs, lambda: trainer.global_step)
        )
        trainer.fit(PlainAutoencoder(network()), loader)


def _data_set(workload: Workload, data_root: Path) -> Dataset[Any]:
    if workload is not MNIST:
        return TensorDataset(torch.from_numpy(training_samples(workload, data_root)))
    from torchvision import datasets, transforms

    return datasets.MNIST(data_root, train=True, transform=transforms.ToTensor())
