"""Arrays of numbers: which dimension is what, which type, and whether the values can be right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from activae.data.source import FAR_WIDER_THAN_ONE, ROUNDING
from activae.data.sources.arrays import EXACT_IN_FLOAT32
from activae.data.spec import DataSpec
from activae.errors import DataError

if TYPE_CHECKING:
    from activae.use.run import Run

BYTES = (0.0, 255.0)
_USERS_OWN = "activae.data.array"  # declares a range only where its config does

Bounds = tuple[float, float] | None


@dataclass(frozen=True)
class Layout:
    """forth: from what was given to [N, *shape]; back: the reverse. single: no batch dimension."""

    forth: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    single: bool


def declared_range(run: Run) -> Bounds:
    """The smallest and largest raw value that there can be; None where nobody declared them."""
    source = run.config["data"]["source"]
    if run.preparation is not None:
        return None
    if source["_target_"] == _USERS_OWN and source.get("value_range") is None:
        return None
    return run.spec.raw_range


def expectation(spec: DataSpec, bounds: Bounds) -> str:
    """What arrays the run takes, in words."""
    shape = ", ".join(map(str, spec.shape))
    if spec.is_image:
        *_, height, width = spec.shape
        grey = f", [N, {height}, {width}]" if spec.shape[0] == 1 else ""
        what = f"images [N, {shape}] or [N, {height}, {width}, {spec.shape[0]}]{grey}"
    else:
        named = f" ({', '.join(spec.features[:5])}, ...)" if spec.features else ""
        what = f"samples [N, {shape}]{named}"
    return f"{what} of finite numbers" + (f" from {bounds[0]:g} to {bounds[1]:g}" if bounds else "")


def real(x: Any, spec: DataSpec, bounds: Bounds) -> Any:
    """x as an array or tensor of real numbers. Raises DataError where it is none."""
    try:
        return _plain(x)
    except TypeError as error:
        raise _unfit(str(error), spec, bounds) from None


def _plain(x: Any) -> Any:
    """x as an array or tensor of real numbers. Raises TypeError that says what was given."""
    if isinstance(x, Tensor):
        if x.is_complex() or x.is_quantized or x.layout != torch.strided:
            kind = "" if x.layout == torch.strided else f" in layout {x.layout}"
            raise TypeError(f"a tensor of {x.dtype}{kind} was given")
        return x.detach()
    if isinstance(x, np.ma.MaskedArray):
        if x.mask.any():
            raise TypeError(f"an array with {int(x.mask.sum())} masked values was given")
        x = x.data
    is_array = isinstance(x, np.ndarray)
    given = "an array" if is_array else "None" if x is None else f"a {type(x).__name__}"
    try:
        x = np.asarray(x)
    except ValueError as error:  # ragged lists
        raise TypeError(f"{given} was given ({error})") from error
    if x.dtype.kind not in "buif":
        kind = f" of type {x.dtype}" if is_array or x.dtype.kind != "O" else ""
        raise TypeError(f"{given}{kind} was given")
    return x


def tensor(values: Any) -> Tensor:
    """Values [n, ...] as a tensor: bytes as they are, others in a float that holds them exactly."""
    if isinstance(values, Tensor):
        if values.dtype in (torch.uint8, torch.float32, torch.float64):
            return values
        name = str(values.dtype).removeprefix("torch.")
        exact = name in (*EXACT_IN_FLOAT32, "bfloat16", "bool")
        return values.to(torch.float32 if exact else torch.float64)
    if values.dtype.kind == "b" or values.dtype == np.uint8:
        kind: Any = np.uint8
    else:
        kind = np.float32 if values.dtype.name in EXACT_IN_FLOAT32 else np.float64
    plain = np.ascontiguousarray(values, dtype=kind)
    return torch.from_numpy(plain if plain.flags.writeable else plain.copy())


_KEPT = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)
_OF_NUMPY = {
    np.dtype(str(kind).removeprefix("torch.")): kind for kind in _KEPT if kind != torch.bfloat16
}


def dtype_back(values: Any) -> torch.dtype | None:
    """The type that samples are given back in; None: as the run computes them."""
    if isinstance(values, Tensor):
        return values.dtype if values.dtype in _KEPT else None
    return _OF_NUMPY.get(values.dtype)


def layout(given: Sequence[int], spec: DataSpec, bounds: Bounds) -> Layout:
    """Which dimension of an array of that shape is what.

    A batch of samples [N, *shape], of images also [N, H, W, C], [N, H, W] of grey ones, and
    [N, C * H * W]; or one sample of any of these forms. [1, H, W] is a batch of one grey image.
    Raises DataError where it is none of them.
    """
    shape = tuple(spec.shape)
    forms: list[tuple[tuple[int, ...], Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]
    forms = [(shape, _same, _same)]
    if spec.is_image:
        channels, height, width = shape
        if channels == 1:
            forms.append(((height, width), lambda x: x.unsqueeze(1), lambda x: x.squeeze(1)))
        last = (height, width, channels)
        forms.append((last, lambda x: x.movedim(-1, 1), lambda x: x.movedim(1, -1)))
        flat = (channels * height * width,)
        forms.append((flat, lambda x: x.reshape(-1, *shape), lambda x: x.flatten(1)))
    for single in (False, True):
        for form, forth, back in forms:
            if tuple(given) == form if single else tuple(given[1:]) == form:
                return Layout(forth, back, single)
    raise _unfit(f"an array of shape {list(given)} was given", spec, bounds)


def checked(raw: Tensor, spec: DataSpec, bounds: Bounds) -> Tensor:
    """The samples, if their values can be right.

    Raises DataError where one is NaN or infinite, outside the declared range, or where all lie in
    [0, 1] although that range is far wider, as those of images that were divided already.
    """
    if raw.dtype == torch.uint8 and (bounds is None or bounds[1] >= BYTES[1]):
        return raw
    if not raw.numel():
        return raw
    low, high = (bound.item() for bound in raw.aminmax())
    if not np.isfinite(np.float32(low)) or not np.isfinite(np.float32(high)):
        bad = ~raw.float().isfinite()
        place = bad.nonzero()[0].tolist()
        raise _unfit(
            f"{int(bad.sum())} of {bad.numel()} values given are NaN or infinite in float32, the "
            f"first in sample {place[0]} (counted from 0), position {place[1:]}",
            spec,
            bounds,
        )
    if bounds is None:
        return raw
    slack = ROUNDING * (bounds[1] - bounds[0])
    if low < bounds[0] - slack or high > bounds[1] + slack:
        raise _unfit(f"values from {low:g} to {high:g} were given", spec, bounds)
    is_divided = low >= 0 and high <= 1 and bounds[1] - bounds[0] >= FAR_WIDER_THAN_ONE
    if is_divided and raw.is_floating_point() and bool((raw != raw.round()).any()):
        raise _unfit(
            f"fractions from {low:g} to {high:g} were given, as if divided already", spec, bounds
        )
    return raw


def codes(z: Any, shape: Sequence[int]) -> tuple[Tensor, bool]:
    """Codes [N, *shape], and whether one came without a batch dimension. Raises DataError."""
    wanted = f"the run expects codes [N, {', '.join(map(str, shape))}] of finite numbers"
    try:
        z = _plain(z)
    except TypeError as error:
        raise DataError(f"{error}; {wanted}.") from None
    single = tuple(z.shape) == tuple(shape)
    if not single and tuple(z.shape[1:]) != tuple(shape):
        raise DataError(f"an array of shape {list(z.shape)} was given; {wanted}.")
    found = tensor(z).detach()
    found = found[None] if single else found
    if not bool(found.isfinite().all()):
        raise DataError(f"codes with NaN or infinite values were given; {wanted}.")
    return found, single


def _same(x: Tensor) -> Tensor:
    return x


def _unfit(found: str, spec: DataSpec, bounds: Bounds) -> DataError:
    return DataError(f"{found}; the run expects {expectation(spec, bounds)}.")
