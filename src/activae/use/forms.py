"""Giving results back in the like of what came in: arrays, tables, pictures, cells.

A Form knows what the user handed in. It takes codes [N, k], raw samples [N, *shape] or scores [N],
and returns them as that kind of object.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from activae.data.sources.image_folder import MODES
from activae.data.sources.tabular import ColumnFeatures

if TYPE_CHECKING:
    import pandas as pd

LARGEST_BYTE = 255
SCORE = "SE"


class Form(ABC):
    """How results are given back; `single`: one sample came in, without a batch dimension."""

    single: bool = False
    streams: bool = True  # whether parts of the rows may be given back one by one

    def settled(self, raw: Tensor) -> Tensor:
        """Raw samples [n, *shape] in the type that they are given back in."""
        return raw

    @abstractmethod
    def codes(self, codes: Tensor) -> Any:
        """Codes [N, k] in the like of what came in."""

    @abstractmethod
    def samples(self, raw: Tensor) -> Any:
        """Settled raw samples [N, *shape] in the like of what came in."""

    def scores(self, scores: Tensor) -> Any:
        """Scores [N] in the like of what came in."""
        return self.codes(scores)

    def several(self) -> Form:
        """The same form for many samples, where one came in."""
        return self

    def part(self, first: int) -> Form:
        """The form for a part of the rows, that begins at one of them."""
        return self.several()


@dataclass(frozen=True)
class Arrays(Form):
    """NumPy's arrays or torch's tensors.

    dtype: of the samples; uint8 ones come back rounded, other whole numbers as floating point.
    device: of a tensor; None: arrays. layout: from [N, *shape] to the dimensions that came in.
    bounds: what uint8 values are clipped to.
    """

    dtype: torch.dtype | None = None
    device: torch.device | None = None
    layout: Callable[[Tensor], Tensor] = field(default=lambda raw: raw)
    bounds: tuple[float, float] = (0.0, float(LARGEST_BYTE))
    single: bool = False
    streams: bool = True  # whether parts of the rows may be given back one by one

    def settled(self, raw: Tensor) -> Tensor:
        """As described."""
        if self.dtype == torch.uint8:
            return raw.round().clamp(*self.bounds).to(torch.uint8)
        return raw if self.dtype is None else raw.to(self.dtype)

    def codes(self, codes: Tensor) -> Any:
        """As described."""
        found = codes[0] if self.single else codes
        if self.device is not None:
            return found.to(self.device)
        return found.cpu().numpy() if found.ndim else found.cpu().numpy()[()]

    def samples(self, raw: Tensor) -> Any:
        """As described."""
        return self.codes(self.layout(raw))

    def several(self) -> Form:
        """As described."""
        return replace(self, single=False)


@dataclass(frozen=True)
class Frames(Form):
    """pandas DataFrames with the index that came in; scores are a Series.

    table: from raw samples [N, *shape] to the columns by name. plain: codes and scores are arrays,
    as for lists of texts.
    """

    table: Callable[[Tensor], dict[str, Any]]
    index: Any = None
    plain: bool = False
    single: bool = False
    streams: bool = True

    def codes(self, codes: Tensor) -> Any:
        """As described."""
        if self.plain:
            return Arrays(single=self.single).codes(codes)
        return code_frame(codes, self.index)

    def samples(self, raw: Tensor) -> Any:
        """As described."""
        import pandas as pd

        return pd.DataFrame(self.table(raw), index=self._index(len(raw)), copy=False)

    def scores(self, scores: Tensor) -> Any:
        """As described."""
        if self.plain:
            return Arrays(single=self.single).codes(scores)
        import pandas as pd

        return pd.Series(scores.cpu().numpy(), index=self._index(len(scores)), name=SCORE)

    def several(self) -> Form:
        """As described."""
        return replace(self, index=None, single=False)

    def _index(self, rows: int) -> Any:
        return self.index if self.index is not None and len(self.index) == rows else None


@dataclass(frozen=True)
class Pictures(Form):
    """Pillow's images, a list of them or one; codes and scores are arrays.

    bounds: the raw values that are shown as black and white.
    """

    bounds: tuple[float, float]
    single: bool = False

    def codes(self, codes: Tensor) -> Any:
        """As described."""
        return Arrays(single=self.single).codes(codes)

    def samples(self, raw: Tensor) -> Any:
        """As described."""
        found = pictures(raw, self.bounds)
        return found[0] if self.single else found

    def several(self) -> Form:
        """As described."""
        return replace(self, single=False)


class CellTable(Protocol):
    """From raw samples, of which the first belongs to a cell, to columns by name."""

    def __call__(self, raw: Tensor, *, first: int) -> dict[str, Any]: ...  # noqa: D102


@dataclass(frozen=True)
class Annotated(Form):
    """AnnData: samples come back as cells with the genes kept, codes and scores by their names.

    obs: the table of the cells. table: as that of `Frames`, of samples that begin at a row. first:
    the row that the next samples begin at.
    """

    obs: Any
    table: CellTable
    first: int = 0

    def codes(self, codes: Tensor) -> Any:
        """As described: a DataFrame, which fits into `obsm`."""
        return code_frame(codes, self._rows(len(codes)).index)

    def samples(self, raw: Tensor) -> Any:
        """As described."""
        import anndata
        import pandas as pd

        columns = self.table(raw, first=self.first)
        values = np.stack(list(columns.values()), axis=1)
        genes = pd.DataFrame(index=list(columns))
        obs = self._rows(len(raw))
        known = obs.copy() if len(obs) == len(raw) else None
        return anndata.AnnData(values, obs=known, var=genes)

    def scores(self, scores: Tensor) -> Any:
        """As described."""
        return Frames(partial(self.table, first=self.first), self._rows(len(scores)).index).scores(
            scores
        )

    def part(self, first: int) -> Form:
        """As described."""
        return replace(self, first=first)

    def _rows(self, number: int) -> Any:
        return self.obs.iloc[self.first : self.first + number]


def give(verb: str, form: Form, found: Tensor) -> Any:
    """What a verb found, in a form: codes of encode, scores of score, samples of others."""
    if verb == "encode":
        return form.codes(found)
    return form.scores(found) if verb == "score" else form.samples(found)


def code_frame(codes: Tensor, index: Any) -> pd.DataFrame:
    """Codes [N, k] as the columns code0, code1, ..."""
    import pandas as pd

    names = [f"code{number}" for number in range(codes.shape[1])]
    return pd.DataFrame(codes.cpu().numpy(), columns=names, index=index)


def pictures(raw: Tensor, bounds: tuple[float, float]) -> list[Any]:
    """Raw images [N, C, H, W] as Pillow's; values between the bounds are 0 to 255."""
    from PIL import Image

    low, high = bounds
    shares = (raw.cpu().double() - low) / (high - low)
    values = (shares * LARGEST_BYTE).round().clamp(0, LARGEST_BYTE).to(torch.uint8)
    if raw.shape[1] not in MODES:
        values = values.float().mean(1, keepdim=True).to(torch.uint8)
    arrays = values.movedim(1, -1).numpy()
    return [Image.fromarray(each[..., 0] if each.shape[-1] == 1 else each) for each in arrays]


def named_columns(names: Sequence[str], raw: Tensor) -> dict[str, Any]:
    """Raw samples [N, features] as columns by name."""
    values = raw.cpu().numpy()
    return {name: values[:, place] for place, name in enumerate(names)}


def words_and_numbers(
    preparation: ColumnFeatures, order: Sequence[str], raw: Tensor
) -> dict[str, Any]:
    """Raw samples [N, features] of a table as its columns, categories as words."""
    columns = preparation.inverse_transform(raw)
    numbers = zip(columns.numeric_names, columns.numeric.T, strict=True)
    words = zip(columns.categorical_names, columns.categorical.T, strict=True)
    found: dict[str, Any] = {**dict(numbers), **dict(words)}
    return {name: found[name] for name in order}
