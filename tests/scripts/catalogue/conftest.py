"""Stand-ins for activations of several inputs or outputs a unit."""

import pytest
import torch
from torch import Tensor, nn


class Gate(nn.Module):
    """v sigmoid(w) of an input [B, 2 D]."""

    inputs_per_unit = 2

    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.unflatten(1, (2, -1)).unbind(1)
        return value * torch.sigmoid(gate)


class Both(nn.Module):
    """max(x, 0) beside max(-x, 0): [B, 2 D]."""

    outputs_per_unit = 2

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.relu(), (-x).relu()], dim=1)


@pytest.fixture
def gate() -> nn.Module:
    return Gate()


@pytest.fixture
def both() -> nn.Module:
    return Both()
