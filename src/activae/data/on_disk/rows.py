"""Samples that stay in their file: an `.npy` larger than memory, read in blocks when needed.

No file is mapped: mapped pages count as the process's memory until the system reclaims them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activae.data.layout import Segments, bytes_of_a_row, cut, layout_of
from activae.data.on_disk.survey import Survey
from activae.errors import DataError

T = TypeVar("T")
Array = NDArray[Any]

PART_BYTES = 8 << 20  # of normalised rows, handed on at once


def prefetched(jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
    """The results of the jobs in their order, each begun when the one before it is handed out.

    One thread runs them, one at a time; it ends with the iteration, also when that is abandoned.
    """
    waiting = iter(jobs)
    first = next(waiting, None)
    if first is None:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        coming = thread.submit(first)
        for job in waiting:
            ready = coming.result()
            coming = thread.submit(job)
            yield ready
        yield coming.result()


class NpyRows:
    """The rows of an `.npy` file, with the shape and type that `to_samples` gives them.

    header: the file, mapped; nothing but its first row is read from it.
    to_samples: from rows of the array to samples, uint8, float32 or float64.
    buffer_bytes: memory for the two windows of rows that training needs: one is shuffled while the
      next one is read.

    Raises what `to_samples` raises, and DataError for an array in Fortran order.
    """

    def __init__(
        self,
        file: Path,
        header: np.memmap[Any, Any],
        to_samples: Callable[[Array], Tensor],
        buffer_bytes: float,
    ) -> None:
        first = to_samples(np.array(header[:1] if header.ndim else header))
        if not header.flags.c_contiguous:
            raise DataError(
                f"{file} is in Fortran order, whose rows lie scattered, and so cannot be read in "
                "blocks: save numpy.ascontiguousarray(data), or set data.source.in_memory=true."
            )
        self.file = file
        self.to_samples = to_samples
        self.offset = int(header.offset)
        self.raw_dtype, self.raw_shape = header.dtype, header.shape[1:]
        self.row_bytes = bytes_of_a_row(header)
        self.shape = (len(header), *first.shape[1:])
        self.dtype = first.dtype
        self.ndim = first.ndim
        self.layout = layout_of(header, to_samples, buffer_bytes)
        # What becomes of samples that lie in these segments, if not all stay as they are.
        self.alter: Callable[[Tensor, Segments], Tensor] | None = None

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of all rows in the file."""
        return len(self) * self.row_bytes

    def numel(self) -> int:
        """Number of values."""
        return prod(self.shape)

    def read(self, segments: Segments, buffer: Array | None = None) -> Tensor:
        """The samples of some segments, one after the other; a raw buffer [rows, ...] is reused."""
        return self.altered(self.read_unaltered(segments, buffer), segments)

    def altered(self, samples: Tensor, segments: Segments) -> Tensor:
        """What becomes of the samples of some segments."""
        return samples if self.alter is None else self.alter(samples, segments)

    def read_unaltered(self, segments: Segments, buffer: Array | None = None) -> Tensor:
        """The same as the file has them."""
        count = int((segments[:, 1] - segments[:, 0]).sum())
        if not count:
            return torch.empty(0, *self.shape[1:], dtype=self.dtype)
        raw = self.buffer(count) if buffer is None else buffer[:count]
        written = raw.reshape(-1).view(np.uint8).data
        at = 0
        with self.file.open("rb", buffering=0) as handle:
            for start, stop in segments.tolist():
                size = (stop - start) * self.row_bytes
                handle.seek(self.offset + start * self.row_bytes)
                end = at + size
                while at < end:
                    got = handle.readinto(written[at:end])
                    if not got:
                        raise DataError(f"{self.file} became shorter while it was read.")
                    at += got
        return self.to_samples(raw)

    def buffer(self, rows: int) -> Array:
        """Memory that `read` can use for so many rows."""
        return np.empty((rows, *self.raw_shape), self.raw_dtype)


class RawRows:
    """Samples as they are in the file. No tensor: Lightning would convert its precision.

    They are normalised a batch at a time, beside the network.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def split(self, size: int) -> list[RawRows]:
        """Parts of so many rows; the last may be shorter."""
        return [RawRows(part) for part in self.values.split(size)]


class DiskSamples:
    """One part of a split, `[N, *shape]`, normalised: stands in for the tensor that would not fit.

    It has what the project asks of a tensor of samples, reads what is asked for, and keeps nothing.
    `survey` tells of the raw rows; `normalisation` makes normalised ones.
    """

    def __init__(
        self,
        rows: NpyRows,
        segments: Segments,
        survey: Survey | None = None,
        normalisation: nn.Module | None = None,
    ) -> None:
        self.rows = rows
        self.segments = segments
        self.ends = np.cumsum(segments[:, 1] - segments[:, 0])
        self.survey = survey
        self.normalisation = deepcopy(normalisation) if normalisation else nn.Identity()
        self.device = torch.device("cpu")
        self.dtype = torch.float32 if normalisation else rows.dtype
        self.shape = (len(self.ends) and int(self.ends[-1]), *rows.shape[1:])
        self.ndim = rows.ndim

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def is_cuda(self) -> bool:
        """Whether what it gives lies on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def nbytes(self) -> int:
        """Bytes in memory: none."""
        return 0

    def to(self, device: torch.device, dtype: torch.dtype) -> DiskSamples:
        """The same samples, handed out on the device and in the type."""
        other = DiskSamples(self.rows, self.segments, self.survey, self.normalisation)
        other.device, other.dtype = torch.device(device), dtype
        if other.is_cuda:
            other.normalisation.to(other.device)
        return other

    def normalised(self, raw: RawRows) -> Tensor:
        """Raw rows as the network takes them. A GPU does that itself: fewer bytes travel."""
        values = raw.values
        if self.is_cuda:
            values = values.to(self.device, non_blocking=True)
        return self.normalisation(values).to(self.device, self.dtype)

    def numel(self) -> int:
        """Number of values."""
        return prod(self.shape)

    def __getitem__(self, chosen: int | slice | Tensor) -> Tensor:
        """One sample `[*shape]`, or those of a slice without steps, or of indices `[n]`."""
        if isinstance(chosen, int):
            return self._between(chosen, chosen + 1)[0]
        if isinstance(chosen, slice):
            first, last, step = chosen.indices(len(self))
            assert step == 1, chosen
            return self._between(first, max(first, last))
        return self.index_select(0, chosen)

    def index_select(self, dim: int, indices: Tensor) -> Tensor:
        """The samples at these positions `[n]`: neighbours are read at once."""
        assert dim == 0, dim
        wanted, back = torch.unique(indices.cpu(), return_inverse=True)
        breaks = (wanted.diff() > 1).nonzero()[:, 0] + 1
        runs = wanted.tensor_split(breaks) if len(wanted) else ()
        parts = [self._between(int(run[0]), int(run[-1]) + 1) for run in runs]
        return torch.cat([self._between(0, 0), *parts])[back.to(self.device)]

    def split(self, rows: int) -> Iterator[Tensor]:
        """All samples in order, in parts of at most so many: fewer where these are large."""
        return (self.normalised(part) for part in self.raw_parts(rows, len(self)))

    def raw_parts(self, rows: int, limit: int) -> Iterator[RawRows]:
        """The first `limit` samples, raw, in such parts; the next part is read meanwhile."""
        size = self.rows_in_a_part(rows)
        jobs = (
            partial(self.rows.read, self.between(first, min(limit, first + size)))
            for first in range(0, limit, size)
        )
        return map(RawRows, prefetched(jobs))

    def rows_in_a_part(self, most: int) -> int:
        """How many samples to hand on at once: at most so many, and at least one."""
        return max(1, min(most, PART_BYTES // (4 * prod(self.shape[1:]))))

    def aminmax(self, *, dim: int | None = None) -> tuple[Tensor, Tensor]:
        """Smallest and largest raw value: of all, or with dim=0 of each position."""
        assert self.survey is not None
        low, high = self.survey.low, self.survey.high
        return (low, high) if dim == 0 else (low.min(), high.max())

    def mean(self, dim: int) -> Tensor:
        """The mean sample `[*shape]`, for dim=0."""
        assert dim == 0, dim
        assert self.survey is not None
        return self.normalised(RawRows(self.survey.mean_sample[None]))[0]

    def between(self, first: int, last: int) -> Segments:
        """Where the samples from one position to before another lie in the file."""
        return cut(self.segments, self.ends, first, last)

    def _between(self, first: int, last: int) -> Tensor:
        return self.normalised(RawRows(self.rows.read(self.between(first, last))))
