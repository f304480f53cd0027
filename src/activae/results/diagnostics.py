"""Diagnostics that explain a result: dead and saturated units, gradient norms, rank, pictures.

In: a network's activations, parameters, codes or images. Out: numbers, and pictures as tensors.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae.activations import slope

DEAD_SLOPE = 1e-6
SATURATED_SHARE = 0.05  # of the largest slope
GRID = torch.arange(-80, 81) / 10  # holds 0 exactly, where sigmoids are steepest
LEAST_SIDE = 48  # px; below it, digits of 8 x 8 are specks on a page
WIDEST = 880  # px of a grid: TensorBoard's IMAGES page is as wide in a window of 1280
CARD = (324, 216)  # px, width and height: what a card of TensorBoard shows a picture in
GREY = 0.5  # tells the frame from black and from white images
SPRITE_SIDE = 8192  # px; the projector loads no larger picture


@dataclass(frozen=True)
class LayerStatistics:
    """What one activation did with one batch of n samples.

    dead_fraction: share of units with |f'(z)| < 1e-6 for every sample: no gradient passes, so that
      nothing is learnt through them.
    saturated_fraction: share of (sample, unit) pairs with |f'(z)| < 5% of the largest |f'| on
      [-8, 8]. Where the slope grows without bound (x^2, x cos x) that counts the flat middle.
    outputs: all of f(z), flattened [n * units], on the activation's device.

    A unit is everything but the sample: a feature of a vector, a channel at one position of a map.
    Of an activation with several inputs for each of its own units every input counts as one, and
    the largest |f'| is that with all inputs alike.
    """

    dead_fraction: float
    saturated_fraction: float
    outputs: Tensor


def activation_statistics(
    activations: Mapping[str, nn.Module], forward: Callable[[], Any]
) -> dict[str, LayerStatistics]:
    """Run `forward()` once without gradients and describe each of the `activations`.

    `forward` sends a batch through the network that owns them, and calls each exactly once.
    """
    inputs, outputs = _record(activations, forward)
    fractions = []
    for name, activation in activations.items():
        slopes = slope(activation, inputs[name]).abs()
        peak = _largest_slope(activation, inputs[name])
        dead = (slopes < DEAD_SLOPE).all(0)
        saturated = slopes < SATURATED_SHARE * peak
        fractions.append(torch.stack([dead.float().mean(), saturated.float().mean()]))
    # One transfer for all layers: each waits for the device.
    numbers = torch.stack(fractions).tolist() if fractions else []
    return {
        name: LayerStatistics(dead, saturated, outputs[name].flatten())
        for name, (dead, saturated) in zip(activations, numbers, strict=True)
    }


def _record(
    activations: Mapping[str, nn.Module], forward: Callable[[], Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the input and the output [n, ...] of each activation during `forward()`."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def before(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def keep(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            assert name not in inputs, f"{name} was called twice: layers own their activations"
            inputs[name] = args[0].detach().clone()  # an in-place activation overwrites it

        return keep

    def after(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
            outputs[name] = output.detach().clone()  # so may the layer that follows

        return keep

    with ExitStack() as hooks, torch.no_grad():
        for name, activation in activations.items():
            hooks.enter_context(activation.register_forward_pre_hook(before(name)))
            hooks.enter_context(activation.register_forward_hook(after(name)))
        forward()
    unused = set(activations) - set(outputs)
    assert not unused, f"forward() did not call {sorted(unused)}"
    return inputs, outputs


def _largest_slope(activation: nn.Module, z: Tensor) -> Tensor:
    """Return the largest |f'| on the grid for each unit of z [n, ...]: [...].

    For each, because learnable activations may have parameters by unit or channel.
    """
    grid = GRID.to(z).view(-1, *[1] * (z.ndim - 1)).expand(-1, *z.shape[1:])
    # A pole of f' (sqrt|x| at 0) would make all else look saturated.
    return slope(activation, grid).abs().nan_to_num(nan=0, posinf=0).amax(0)


def gradient_norms(
    named_parameters: Iterable[tuple[str, nn.Parameter]], loss: Tensor
) -> dict[str, float]:
    """Return the L2 norm of d loss / d parameters for each layer, in definition order.

    A layer is its weight and bias together, named like them without the last part
    (`encoder.0.weight` -> `encoder.0`). Frozen parameters are left out, unused ones count as 0. No
    parameter's `.grad` is touched; the graph of the scalar `loss` is freed.
    """
    parameters = [(name, p) for name, p in named_parameters if p.requires_grad]
    if not parameters:
        return {}
    gradients = torch.autograd.grad(loss, [p for _, p in parameters], materialize_grads=True)
    # One transfer for all layers: each waits for the device.
    norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]).tolist()
    layers: dict[str, list[float]] = defaultdict(list)
    for (name, _), norm in zip(parameters, norms, strict=True):
        layers[name.rpartition(".")[0] or name].append(norm)
    return {layer: math.hypot(*parts) for layer, parts in layers.items()}


def effective_rank(codes: Tensor) -> float:
    """Return the effective rank of codes [N, k]: between 1 and min(N - 1, k).

    exp of the entropy of the normalised singular values of the centred codes (Roy & Vetterli 2007,
    The effective rank: a measure of effective dimensionality). Codes that are all
    equal use no dimension: 0. Codes that are not finite: NaN.
    """
    assert codes.ndim == 2, codes.shape
    wide = codes.detach().cpu().double()
    if not wide.isfinite().all():
        return math.nan
    singular_values = torch.linalg.svdvals(wide - wide.mean(0))
    rounding = max(wide.shape) * torch.finfo(wide.dtype).eps * torch.linalg.norm(wide)
    if singular_values[0] <= rounding:
        return 0.0
    shares = singular_values / singular_values.sum()
    return torch.special.entr(shares).sum().exp().item()


def reconstruction_grid(
    originals: Tensor, reconstructions: Tensor, *, columns: int | None = None
) -> Tensor:
    """Return one picture [C, H', W'] of originals, each above its reconstruction.

    Both are [n, C, H, W] in [0, 1]: see `image_grid`.
    """
    return image_grid([originals, reconstructions], columns=columns)


def image_grid(stacked: Sequence[Tensor], *, columns: int | None = None) -> Tensor:
    """Return one picture [C, H', W'] of images, each of the first above those of the others.

    All are [n, C, H, W] in [0, 1]; values outside are clipped, NaN is drawn black. Rows of at most
    `columns` stacks, separated by grey lines, a thicker one below each of several; by default as
    many as show the images largest in a card of TensorBoard. Images below 48 px are enlarged by a
    whole factor, pixel by pixel; those of a grid that would be wider than 880 px are shrunk.
    """
    first = stacked[0]
    assert all(each.shape == first.shape for each in stacked), [each.shape for each in stacked]
    assert first.ndim == 4, first.shape
    height, width = first.shape[-2:]
    if columns is None:
        columns = _columns(len(first), len(stacked) * height, width)
    columns = min(columns, len(first))
    side = WIDEST // columns - 2
    framed = torch.cat([_frame(_visible(images, side)) for images in stacked], dim=2)
    tiles = F.pad(framed, (0, 0, 0, 3 if len(stacked) > 1 else 0), value=GREY)
    rows = math.ceil(len(tiles) / columns)
    missing = tiles.new_full((rows * columns - len(tiles), *tiles.shape[1:]), GREY)
    _, channels, height, width = tiles.shape
    grid = torch.cat((tiles, missing)).view(rows, columns, channels, height, width)
    return grid.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def _columns(stacks: int, height: int, width: int) -> int:
    """In how many columns stacks of images show largest in a card; of equals the most."""

    def scale(columns: int) -> float:
        rows = math.ceil(stacks / columns)
        return min(CARD[0] / (columns * width), CARD[1] / (rows * height))

    return max(range(1, stacks + 1), key=lambda columns: (scale(columns), columns))


def thumbnails(images: Tensor) -> Tensor:
    """Return images [n, C, H, W] in [0, 1] as SummaryWriter.add_embedding's label_img [n, C, S, S].

    Square, because add_embedding cannot lay out anything else, with a grey margin where they were
    not; shrunk only where all n together would exceed the 8192 px a side that the projector loads.
    Float32 on the CPU, clipped to [0, 1], not inverted: the projector multiplies them by the
    label's colour, which shows in the light parts, strokes or background.
    """
    assert images.ndim == 4, images.shape
    shown = _clip(images).cpu()
    spare = [max(shown.shape[-2:]) - side for side in shown.shape[-2:]]
    (top, left), (bottom, right) = ([s // 2 for s in spare], [s - s // 2 for s in spare])
    square = F.pad(shown, (left, right, top, bottom), value=GREY)
    limit = SPRITE_SIDE // math.ceil(math.sqrt(len(square)))
    return square if square.shape[-1] <= limit else F.adaptive_avg_pool2d(square, limit)


def as_colours(images: Tensor) -> Tensor:
    """Return pictures [..., C, H, W] as ones that can be shown, [..., 1|3, H, W].

    Of more than three channels the first three are red, green and blue (RGBA loses its alpha); of
    two the first is shown in grey.
    """
    channels = images.shape[-3]
    return images[..., : 3 if channels >= 3 else 1, :, :]


def _clip(images: Tensor) -> Tensor:
    return images.detach().float().nan_to_num(nan=0).clamp(0, 1)


def _visible(images: Tensor, widest: int) -> Tensor:
    """Images enlarged to be seen, or shrunk to the width."""
    height, width = images.shape[-2:]
    if width > widest:
        return F.adaptive_avg_pool2d(_clip(images), (max(1, height * widest // width), widest))
    factor = min(math.ceil(LEAST_SIDE / max(height, width)), widest // width)
    return _clip(images).repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


def _frame(images: Tensor) -> Tensor:
    return F.pad(images, (1, 1, 1, 1), value=GREY)
