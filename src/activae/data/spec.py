"""What a network must know of its data, as plain values that a checkpoint can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class DataSpec:
    """Describes a data set, split and normalised. Networks are built from it, without the data.

    Attributes:
        name: what messages call the data set.
        shape: of one sample, `(features,)` or `(C, H, W)`.
        kind: "image", "counts" (vectors of whole numbers of 0 or more, such as word counts) or
            "vector".
        raw_range: smallest and largest value before normalisation: declared, or those of the
            training split.
        normalised_range: the interval that normalised training data lie in, which the output
            activation has to reach.
        samples: how many there are of each split: train, val, test.
        whole_counts: whether all normalised values are whole numbers of 0 or more.
        features: the name of each feature; None where they have none.
        classes: the name of each label; None where they have none.
        units: what the raw values are measured in; None where the source does not tell.
        binarise: static or dynamic, where samples are draws of the two ends of their range.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    raw_range: tuple[float, float]
    normalised_range: tuple[float, float]
    samples: dict[str, int]
    whole_counts: bool
    features: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    units: str | None = None
    binarise: str | None = None

    @property
    def is_image(self) -> bool:
        """Whether samples are `[C, H, W]` images."""
        return self.kind == "image"

    def to_dict(self) -> dict[str, Any]:
        """Numbers, texts, lists and dicts; `from_dict` makes the same spec of them."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSpec:
        """The spec that `to_dict` described. Raises TypeError where keys are missing or unknown."""
        made: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**made)
