"""A network as a list of layers that explore.js goes through, and the numbers that they use."""

from __future__ import annotations

import base64
import copy
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from activae.activations import gated
from activae.activations.analysis import acts_by_unit, describe, in_float64, is_elementwise
from activae.errors import UserError
from activae.models import Autoencoder
from activae.models.counts import (
    LEAST_TOTAL,
    Exponential,
    LogShares,
    NegativeBinomialHead,
    SharesOfTotal,
)
from activae.models.latent import Latent
from activae.models.latents import Gaussian, Spherical
from activae.models.mlp import ResidualBlock
from activae.use.explore.tables import FloatArray, Function, NoTableError, table

LARGEST = 2_000_000  # bytes a run; weights are rounded to 16 bits where it would take more
BLOCK = 64  # weights that share a scale when they are rounded
_STEPS = 2**15 - 1
_TRIED = 64  # inputs, by which it is measured what rounding changes

log = logging.getLogger(__name__)

Layer = dict[str, Any]
_NOTHING = (nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d)


@dataclass
class Numbers:
    """Arrays one after the other; a layer names the place of each, [first, count]."""

    parts: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def add(self, values: Any) -> list[int]:
        """The place of values, which are flattened to float32."""
        if isinstance(values, Tensor):
            values = values.detach().cpu().numpy()
        flat = np.asarray(values, dtype=np.float32).ravel()
        place = [self.count, len(flat)]
        whole = np.pad(flat, (0, -len(flat) % BLOCK))
        self.parts.append(whole)
        self.count += len(whole)
        return place

    def text(self) -> str:
        """All of them in base64, little-endian."""
        return _base64(self._joined(), "<f4")

    def rounded(self) -> dict[str, str]:
        """All of them as 16-bit steps, and the step of each block."""
        steps, scales = in_steps(self._joined())
        return {"weights": _base64(steps, "<i2"), "scales": _base64(scales, "<f4")}

    def _joined(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, np.float32), *self.parts])


def _base64(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def in_steps(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of 16 bits, and the step of each block of values [n], n a multiple of BLOCK.

    An 8th of float16's error at the same size: its 11 bits do not depend on how large a value is.
    """
    blocks = values.reshape(-1, BLOCK)
    scales = np.abs(blocks).max(1) / _STEPS
    steps = np.round(blocks / np.where(scales == 0, 1, scales)[:, None])
    return steps.ravel().astype(np.int16), scales.astype(np.float32)


@torch.no_grad()
def rounding_error(net: Autoencoder) -> float:
    """How far codes and outputs move when weights are rounded so, of max(1, |value|)."""
    other = copy.deepcopy(net)
    for weight in other.parameters():
        flat = weight.numpy().ravel()
        steps, scales = in_steps(np.pad(flat, (0, -len(flat) % BLOCK)))
        values = steps.reshape(-1, BLOCK) * scales[:, None]
        weight.copy_(torch.from_numpy(values.ravel()[: len(flat)]).reshape(weight.shape))
    noise = torch.Generator().manual_seed(0)
    x = torch.rand(_TRIED, *net.shape, generator=noise)
    far = 0.0
    for exact, seen in ((net.encode(x), other.encode(x)), (net(x), other(x))):
        far = max(far, float(((seen - exact).abs() / exact.abs().clamp(min=1)).max()))
    return far


class Exported:
    """The layers of both halves, weights and tables.

    Raises UserError, naming it, for a layer that the page cannot compute.
    """

    def __init__(self, net: Autoencoder, name: str) -> None:
        self.name = name
        net = copy.deepcopy(net).to("cpu", torch.float32).eval()  # wherever it computes else
        self.net = net
        self.weights, self.tables = Numbers(), Numbers()
        self._known: dict[bytes, list[int]] = {}
        x = torch.zeros(2, *net.shape, dtype=torch.float32)
        self.encoder, x = self._several([net.input_transform, net.encoder, net.code_activation], x)
        more, x = self._latent(net.latent, x)
        self.encoder += more
        self.code = x[0].numel()
        self.decoder, x = self._several([net.decoder], x)
        self.decoder += self._output(net.output_activation, x)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the page; `rounded`: how far off rounded weights lead, 0 for exact."""
        is_large = (self.weights.count + self.tables.count) * 16 / 3 > LARGEST
        far = rounding_error(self.net) if is_large else 0.0
        weights = {"weights": self.weights.text()}
        if is_large:
            weights = self.weights.rounded()
            log.warning(
                "%s: %s weights are rounded to 16 bits in the page, to keep it small; codes and "
                "outputs move by %.1g",
                self.name,
                f"{self.weights.count:,}",
                far,
            )
        return {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "code": self.code,
            "rounded": far,
            **weights,
            "tables": self.tables.text(),
        }

    def _latent(self, latent: Latent | None, x: Tensor) -> tuple[list[Layer], Tensor]:
        """What makes the code of the encoding x [2, n]."""
        if latent is None:
            return [], x
        if isinstance(latent, Spherical):
            return [{"is": "sphere"}], latent.code(x)
        if latent.kind == "vq":
            raise self._refusal(latent, "its codes are words, between which nothing slides")
        if not isinstance(latent, Gaussian):
            raise self._refusal(latent, "what stands between encoder and decoder")
        size = x.shape[1]
        means = nn.Linear(size, size // 2, bias=False)  # they are the first half
        with torch.no_grad():
            means.weight.copy_(torch.eye(*means.weight.shape))
        return self._layers(means, x)

    def _several(self, modules: Any, x: Tensor) -> tuple[list[Layer], Tensor]:
        layers: list[Layer] = []
        for module in modules:
            more, x = self._layers(module, x)
            layers += more
        return layers, x

    @torch.no_grad()
    def _layers(self, module: nn.Module, x: Tensor) -> tuple[list[Layer], Tensor]:
        """The layers of a module, and what it makes of x [2, ...], whose shape matters alone."""
        if isinstance(module, nn.Sequential):
            return self._several(module, x)
        if isinstance(module, ResidualBlock):
            branch, _ = self._several([module.branch], x)
            short, _ = self._several([module.shortcut], x)
            added = {"is": "add", "scale": module.scale, "branch": branch, "short": short}
            return [added], module(x)
        if isinstance(module, _NOTHING):
            return [], module(x)
        layer = self._weighted(module, x) or self._normalising(module, x)
        return [layer or self._activation(module, x)], module(x)

    def _weighted(self, module: nn.Module, x: Tensor) -> Layer | None:
        if isinstance(module, nn.Linear):
            return {"is": "linear", "in": module.in_features, **self._weight(module)}
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            return None
        plain = module.groups == 1 and set(module.dilation) == {1}
        if not plain or isinstance(module.padding, str) or module.padding_mode != "zeros":
            raise self._refusal(module, "a convolution with groups, dilation or padding by name")
        return {
            "is": "up" if isinstance(module, nn.ConvTranspose2d) else "conv",
            "from": list(x.shape[1:]),
            "to": list(module(x).shape[1:]),
            "kernel": list(module.kernel_size),
            "stride": list(module.stride),
            "pad": list(module.padding),
            **self._weight(module),
        }

    def _weight(self, module: Any) -> Layer:
        bias = module.bias
        if bias is None:
            out = getattr(module, "out_features", None) or module.out_channels
            bias = torch.zeros(out)
        return {"w": self.weights.add(module.weight), "b": self.weights.add(bias)}

    def _normalising(self, module: nn.Module, x: Tensor) -> Layer | None:
        channels = x.shape[1]
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            if module.running_mean is None or module.running_var is None:
                raise self._refusal(module, "batch normalisation without running statistics")
            scale = (module.running_var + module.eps).rsqrt()
            if module.affine:
                scale = scale * module.weight
            shift = -module.running_mean * scale + (module.bias if module.affine else 0)
            return {"is": "affine", "w": self.weights.add(scale), "b": self.weights.add(shift)}
        if isinstance(module, nn.LayerNorm) and module.normalized_shape == (x.shape[1:]):
            groups = 1
        elif isinstance(module, nn.GroupNorm):
            groups = module.num_groups
        else:
            return None
        size = channels if isinstance(module, nn.GroupNorm) else x[0].numel()
        ones, zeros = torch.ones(size), torch.zeros(size)
        weight = ones if module.weight is None else module.weight
        bias = zeros if module.bias is None else module.bias
        kept = {"w": self.weights.add(weight), "b": self.weights.add(bias)}
        return {"is": "norm", "groups": groups, "eps": module.eps, **kept}

    def _activation(self, module: nn.Module, x: Tensor) -> Layer:
        if isinstance(module, gated._Gated):
            gate = type(module).gate

            def opened(points: FloatArray) -> FloatArray:
                return np.asarray(gate(torch.from_numpy(points)))

            return {"is": "gated", "tables": [self._table(opened, module)]}
        if isinstance(module, gated.Maxout):
            return {"is": "maxout", "pieces": module.pieces}
        if isinstance(module, gated.CReLU):
            return {"is": "crelu"}
        if isinstance(module, LogShares):
            return {"is": "log_shares"}
        if isinstance(module, Exponential):
            return {"is": "exp"}
        if not is_elementwise(module):
            raise self._refusal(module, "it has several inputs or outputs a unit")
        if not acts_by_unit(module):
            raise self._refusal(module, "it does not act on every value for itself")
        return {"is": "act", "tables": self._elementwise(module, x)}

    def _elementwise(self, module: nn.Module, x: Tensor) -> list[list[int]]:
        """One table, or one for each channel where their values differ."""
        function, channels = in_float64(module), x.shape[1]

        def values(points: FloatArray) -> FloatArray:
            columns = torch.from_numpy(points)[:, None].expand(-1, channels)
            shape = (len(points), channels) + (1,) * (x.ndim - 2)
            with torch.no_grad():
                out = function(columns.reshape(shape).clone())
            return np.asarray(out.reshape(len(points), channels).numpy())

        def column(c: int, points: FloatArray) -> FloatArray:
            return values(points)[:, c]

        seen = values(np.linspace(-9.7, 10.3, 83))
        same = bool((seen == seen[:, :1]).all())
        return [self._table(partial(column, c), module) for c in range(1 if same else channels)]

    def _table(self, function: Function, module: nn.Module) -> list[int]:
        try:
            rows = table(function)
        except NoTableError as error:
            raise self._refusal(module, str(error)) from None
        key = rows.tobytes()
        if key not in self._known:
            self._known[key] = self.tables.add(rows.T)
        return self._known[key]

    def _output(self, module: nn.Module, x: Tensor) -> list[Layer]:
        if isinstance(module, SharesOfTotal):
            return [{"is": "shares", "inflated": False, "least": -1e300}]
        if isinstance(module, NegativeBinomialHead):
            return [{"is": "shares", "inflated": module.zero_inflated, "least": LEAST_TOTAL}]
        return self._layers(module, x)[0]

    def _refusal(self, module: nn.Module, why: str) -> UserError:
        return UserError(
            f"{self.name}: explore cannot put {describe(module)} into a page: {why}; "
            "leave this run out"
        )
