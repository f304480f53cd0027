"""The parameters of K networks of one shape as one tensor [K, P]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from activae.models import Autoencoder


class FlatParameters:
    """A row of `flat` [K, P] for each network, of which the network's own parameters become views.

    So each network is at any time what it would be had it been trained alone. Weights come first,
    up to column `weight_columns`; biases and the parameters of activations, to which neither decay
    nor penalties apply, follow.
    """

    def __init__(self, nets: Sequence[Autoencoder]) -> None:
        weights = {name for name, _ in nets[0].weights()}
        first = dict(nets[0].named_parameters())
        self.names = sorted(first, key=lambda name: name not in weights)  # stable
        self.shapes = [first[name].shape for name in self.names]
        self.weight_columns = sum(first[name].numel() for name in self.names if name in weights)
        self.parameters = [[net.get_parameter(name) for name in self.names] for net in nets]
        self.flat = torch.stack([flattened(row) for row in self.parameters])
        for row, parameters in zip(self.flat, self.parameters, strict=True):
            for parameter, view in zip(parameters, self.split(row), strict=True):
                parameter.data = view

    def split(self, flat: Tensor) -> list[Tensor]:
        """Views [..., *shape], one a parameter, of a tensor [..., P]."""
        parts = flat.split([shape.numel() for shape in self.shapes], dim=-1)
        leading = flat.shape[:-1]
        return [
            part.view((*leading, *shape)) for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def by_name(self, flat: Tensor) -> dict[str, Tensor]:
        """Views [..., *shape] of [..., P] by the names of the parameters."""
        return dict(zip(self.names, self.split(flat), strict=True))

    def weights(self, flat: Tensor) -> Tensor:
        """The columns that hold weights, a view."""
        return flat[:, : self.weight_columns]


def flattened(tensors: Sequence[Tensor]) -> Tensor:
    """One row [P] of tensors in a row's order."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])
