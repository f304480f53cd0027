"""One of each thing that an activae run can be made of, in the shape that it is to have."""

import math

import pytorch_lightning as pl
import torch
from torch import nn

from activae.data import Source
from activae.objectives import Regulariser


class Wavy(nn.Module):  # an activation: elementwise, its parameters keywords
    def __init__(self, bend: float = 0.5) -> None:
        super().__init__()
        self.bend = bend

    def forward(self, z):
        return z + self.bend * torch.sin(z)


def two_layers(input_shape, code_dim, *, activation, width=32):  # an encoder; a decoder likewise
    size = math.prod(input_shape)
    layers = nn.Linear(size, width), activation(), nn.Linear(width, code_dim)
    return nn.Sequential(nn.Flatten(), *layers)


def charbonnier(net, x):  # a loss: one number, the mean over samples and features
    return (((net(x) - x) ** 2 + 1e-6).sqrt()).mean()


class SignSGD(torch.optim.Optimizer):  # an optimizer
    def __init__(self, params, lr=1e-3) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(group["lr"] * parameter.grad.sign())


def triangle(step, total_steps, *, peak=0.3):  # a schedule: what lr is multiplied by at a step
    done = (step + 1) / total_steps
    return done / peak if done < peak else max(0.0, (1 - done) / (1 - peak))


class Centred(Regulariser):  # a penalty on the code
    of_batch = True  # not the mean of what each sample adds

    def __init__(self, weight: float) -> None:
        super().__init__("centred", weight)

    def __call__(self, net, x, drawn=None):
        return net.encode(x).mean(0).square().sum()


def rings(samples=600, features=12, seed=0):  # data: rows of numbers, each ring a label
    draw = torch.Generator().manual_seed(seed)
    angle = 2 * math.pi * torch.rand(samples, 1, generator=draw)
    label = torch.randint(1, 4, (samples,), generator=draw)
    phase = torch.arange(features) * 2 * math.pi / features
    return Source("rings", label[:, None] * torch.sin(angle + phase), train_labels=label - 1)


class Milestones(pl.Callback):  # a callback: called as Lightning calls them
    def on_train_epoch_end(self, trainer, pl_module) -> None:
        if pl_module.epoch % 5 == 4:
            print(f"after epoch {pl_module.epoch + 1}: SE/val {pl_module.row['SE/val']:.4g}")
