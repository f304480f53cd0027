"""Loops in plain torch: the leanest eager training there is, and the matrix products alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.models import Autoencoder
from activae.training.process import choose_threads
from benchmarks.laps import Laps
from benchmarks.workload import CODE_LAYER, WIDTHS, WORKLOADS, Task, training_samples


def network() -> nn.Sequential:
    """The article's network as one plain sequence of layers."""
    layers: list[nn.Module] = []
    for number, (width, units) in enumerate(pairwise(WIDTHS), start=1):
        layers.append(nn.Linear(width, units))
        if number not in (CODE_LAYER, len(WIDTHS) - 1):
            layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Sigmoid())


def raw(task: Task, laps: Laps) -> None:
    """One tensor of data, a permutation an epoch, batches by index; no metrics, no checks."""
    workload = WORKLOADS[task.workload]
    net = network()
    _set_threads(net, workload.batch_size, laps)
    samples = torch.from_numpy(training_samples(workload, Path(task.data_root)))
    # Lightning, imported here for the thread rule alone, sets this, and every optimizer step then
    # searches for a GPU's library. A loop without Lightning has nothing to do with it.
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    laps.begin()
    while True:
        for _ in range(task.epochs):
            for indices in torch.randperm(len(samples)).split(workload.batch_size):
                batch = samples[indices]
                F.mse_loss(net(batch), batch).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        laps.end(task.steps)


def products(task: Task, laps: Laps) -> None:
    """What no training step of this network in float32 can do without, on full batches."""
    workload = WORKLOADS[task.workload]
    _set_threads(network(), workload.batch_size, laps)
    layers = [Products(workload.batch_size, *widths) for widths in pairwise(WIDTHS)]
    laps.begin()
    while True:
        for _ in range(task.steps):
            Products.step(layers)
        laps.end(task.steps)


class Products:
    """A linear layer's three products, each into memory of its own."""

    def __init__(self, batch_size: int, width: int, units: int) -> None:
        self.x, self.y = torch.rand(batch_size, width), torch.rand(batch_size, units)
        self.weight = torch.rand(units, width)
        self.y_gradient = torch.rand(batch_size, units)
        self.x_gradient = torch.empty_like(self.x)
        self.weight_gradient = torch.empty_like(self.weight)

    @staticmethod
    def step(layers: Sequence[Products]) -> None:
        """Those of a training step: forward, then backward without the gradient of the data."""
        for layer in layers:
            layer.forward()
        for layer in layers[:0:-1]:
            layer.backward_weight()
            layer.backward_input()
        layers[0].backward_weight()

    def forward(self) -> Tensor:
        """The outputs [batch, units]."""
        return torch.mm(self.x, self.weight.t(), out=self.y)

    def backward_input(self) -> Tensor:
        """The inputs' gradients [batch, width]."""
        return torch.mm(self.y_gradient, self.weight, out=self.x_gradient)

    def backward_weight(self) -> Tensor:
        """The weights' gradients [units, width]."""
        return torch.mm(self.y_gradient.t(), self.x, out=self.weight_gradient)


def _set_threads(net: nn.Sequential, batch_size: int, laps: Laps) -> None:
    """As many threads as a run of ours with this network takes."""
    half = len(net) // 2
    ours = Autoencoder(net[:half], net[half:], shape=WIDTHS[:1])
    torch.set_num_threads(choose_threads(ours, batch_size))
    laps.facts["threads"] = torch.get_num_threads()
