"""Scaling to the range a network trains on, with statistics from the training split alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from activae.config.devices import widest_float
from activae.data.on_disk.rows import DiskSamples
from activae.data.on_disk.survey import Moments
from activae.errors import ConfigError

Samples = Tensor | DiskSamples

# An offset's rounding error in units of the scale, from which on it is kept.
RELEVANT_REST = 1e-6


class Normalisation(nn.Module):
    """`(raw - offset) / scale`, kept with the model so that new data get the same treatment.

    Buffers (in the state_dict): `offset`, `offset_rest`, `scale`, shaped like one sample, and
    `target_range` `[2]`, the interval that the normalised training data lie in and that an
    output activation must therefore reach. Where the raw range is declared and the kind is
    `unit_range` or `none`, the interval holds for any data; otherwise it is what the training
    split shows, and other samples may lie a little outside.

    `offset_rest` is what float32 cannot hold of an offset in float64 that is large beside the
    scale, such as that of time stamps; elsewhere it is 0.
    """

    offset: Tensor
    offset_rest: Tensor
    scale: Tensor
    target_range: Tensor

    def __init__(self, offset: Tensor, scale: Tensor, target_range: tuple[float, float]) -> None:
        super().__init__()
        assert offset.shape == scale.shape
        rest = offset.double() - offset.float().double()
        matters = rest.abs() > RELEVANT_REST * scale.double()
        self.register_buffer("offset", offset.float())
        self.register_buffer("offset_rest", torch.where(matters, rest, 0.0).float())
        self.register_buffer("scale", scale.float())
        self.register_buffer("target_range", torch.tensor(target_range, dtype=torch.float32))

    def forward(self, raw: Tensor) -> Tensor:
        """Normalise `[N, *sample_shape]` of any real dtype to the dtype of the buffers."""
        dtype = self.offset.dtype
        # Large numbers with small differences (time stamps) must meet the offset in float64.
        working = torch.float64 if raw.dtype == torch.float64 else dtype
        # In place on a copy: half the time of two new tensors, which for MNIST are 188 MB each.
        shifted = raw.to(working, copy=True).sub_(self.offset)
        if self._has_rest():
            shifted.sub_(self.offset_rest)
        return shifted.div_(self.scale).to(dtype)

    def inverse(self, normalised: Tensor) -> Tensor:
        """Back from `[N, *sample_shape]` to the raw scale, as floating point.

        In float64 where float32 would lose the differences beside the offset: then on the CPU, if
        the device knows none.
        """
        if not self._has_rest():
            return normalised * self.scale + self.offset
        home = normalised.device
        if widest_float(home) != torch.float64:
            home = torch.device("cpu")
        offset, rest, scale = (b.to(home) for b in (self.offset, self.offset_rest, self.scale))
        return normalised.to(home).double() * scale + rest + offset.double()

    def _has_rest(self) -> bool:
        return bool(self.offset_rest.any())

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        if f"{prefix}offset" in state:  # checkpoints of earlier versions have no rest
            state.setdefault(f"{prefix}offset_rest", torch.zeros_like(state[f"{prefix}offset"]))
        super()._load_from_state_dict(state, prefix, *args)


def fit_normalisation(
    kind: str, train: Samples, value_range: tuple[float, float] | None
) -> Normalisation:
    """The normalisation called `kind`, with statistics from `train` and nothing else.

    - `unit_range`: to [0, 1]. By the declared range where there is one, otherwise by the
      smallest and largest training value: of all images together, of each feature of vectors.
    - `standardise`: to mean 0 and standard deviation 1 (population), per channel of images,
      per feature of vectors.
    - `none`: as they are.
    - `rms`: divided by the root mean square of all training values, one number, so that zeros
      stay zero and the values of a sample keep their proportions: for sparse data.

    A feature that is constant in `train` is shifted but keeps its scale.

    Args:
        kind: one of the names above.
        train: the training split `[N, *sample_shape]`, raw; images are `[N, C, H, W]`.
        value_range: the declared range of the raw values, if known.

    Raises:
        ConfigError: `kind` is unknown.
    """
    if kind not in _FITS:
        raise ConfigError(f"data.normalisation={kind}: choose one of {', '.join(_FITS)}.")
    return _FITS[kind](train, value_range)


def _fit_unit_range(train: Samples, value_range: tuple[float, float] | None) -> Normalisation:
    if value_range is not None:
        low, high = (torch.tensor(bound, dtype=torch.float64) for bound in value_range)
    elif train.ndim == 4:
        low, high = (bound.double() for bound in train.aminmax())
    else:
        low, high = _feature_extremes(train)
    return _normalisation(train, offset=low, spread=high - low, target_range=(0.0, 1.0))


def _fit_standardise(train: Samples, value_range: tuple[float, float] | None) -> Normalisation:
    mean, deviation = _mean_and_deviation(train)
    low, high = _feature_extremes(train)
    scale = _without_zeros(deviation)
    observed = (((low - mean) / scale).min().item(), ((high - mean) / scale).max().item())
    return _normalisation(train, offset=mean, spread=deviation, target_range=observed)


def _fit_none(train: Samples, value_range: tuple[float, float] | None) -> Normalisation:
    if value_range is None:
        low, high = train.aminmax()
        value_range = (low.item(), high.item())
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    return _normalisation(train, offset=zero, spread=one, target_range=value_range)


def _fit_rms(train: Samples, value_range: tuple[float, float] | None) -> Normalisation:
    mean, deviation = _mean_and_deviation(train)
    rms = (mean.square() + deviation.square()).mean().sqrt()
    low, high = value_range or (bound.item() for bound in train.aminmax())
    observed = ((low / rms).item(), (high / rms).item())
    zero = torch.zeros((), dtype=torch.float64)
    return _normalisation(train, offset=zero, spread=rms, target_range=observed)


_FITS: dict[str, Callable[[Samples, tuple[float, float] | None], Normalisation]] = {
    "unit_range": _fit_unit_range,
    "standardise": _fit_standardise,
    "none": _fit_none,
    "rms": _fit_rms,
}


def _normalisation(
    train: Samples, offset: Tensor, spread: Tensor, target_range: tuple[float, float]
) -> Normalisation:
    # One shape for every kind: a state_dict then loads whatever kind it was saved with.
    shape = train.shape[1:]
    scale = _without_zeros(spread)
    if train.dtype != torch.float64:  # values that float32 holds have no digits beyond it
        offset = offset.float()
    return Normalisation(offset.expand(shape).clone(), scale.expand(shape).clone(), target_range)


def _without_zeros(spread: Tensor) -> Tensor:
    return torch.where(spread == 0, 1.0, spread)


def _feature_extremes(train: Samples) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each position, `[*sample_shape]` float64 each."""
    low, high = train.aminmax(dim=0)
    return low.double(), high.double()


def _mean_and_deviation(train: Samples) -> tuple[Tensor, Tensor]:
    """Mean and population deviation, `[features]` or `[C, 1, 1]` float64."""
    if isinstance(train, DiskSamples):
        assert train.survey is not None
        return train.survey.mean, train.survey.deviation
    moments = Moments()
    moments.add(train)
    return moments.mean_and_deviation()
