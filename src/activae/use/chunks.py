"""The same numbers for a sample, whichever others are evaluated with it.

A matrix product sums in an order that depends on the number of rows, so that the last bits of a
sample's code would depend on the batch. Here a network only ever sees batches of a few sizes, of
which it has been measured that they agree bit for bit; what is left of a batch is padded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from activae.activations.analysis import threads

Function = Callable[[Tensor], Tensor]

# Rows of the largest chunk: larger ones are no faster.
LARGEST = {"cpu": 1024}
LARGEST_ON_GPU = 8192
MOST_PADDING = 64  # rows that cost less than one more call
SMALLEST = 4  # what a product of fewer rows sums, it sums in another order
_ALIGNED = 64  # bytes; products may round otherwise where rows begin elsewhere


class Chunked:
    """A function of samples [n, ...], each of which is a row of the result, in padded chunks.

    Which sizes agree is found out at the first call, with random samples: sums in another order
    differ in some bit of some of them. Where the position in a chunk matters, or the rows depend on
    each other, every sample is evaluated alone.
    """

    def __init__(self, function: Function, shape: Sequence[int], like: Tensor) -> None:
        """shape: of one sample; like: has the device and type of samples."""
        self.function = function
        self.shape = tuple(shape)
        self.like = like
        self._sizes: list[int] = []
        self._one_thread = False

    @property
    def largest(self) -> int:
        """Rows of the largest chunk."""
        return LARGEST.get(self.like.device.type, LARGEST_ON_GPU)

    @property
    def sizes(self) -> list[int]:
        """The chunk sizes in use, ascending."""
        if not self._sizes:
            with torch.inference_mode():
                self._find_sizes()
        return self._sizes

    def __call__(self, x: Tensor) -> Tensor:
        """The results [n, ...] of samples [n, ...], as a tensor that gradients may be taken of."""
        parts = list(self._parts(x))
        if len(parts) == 1:
            (first,) = parts
            return torch.empty_like(first).copy_(first)
        with torch.inference_mode():
            width = parts[0].shape[1:] if parts else self.function(self._random(1)).shape[1:]
        kind = parts[0] if parts else self.like
        out = torch.empty((len(x), *width), dtype=kind.dtype, device=kind.device)
        place = 0
        for part in parts:
            out[place : place + len(part)] = part
            place += len(part)
        return out

    def _parts(self, x: Tensor) -> Iterator[Tensor]:
        sizes = self.sizes
        with threads(1 if self._one_thread else None), torch.inference_mode():
            for part in x.split(_cut(len(x), sizes)):
                rows = len(part)
                size = next(size for size in sizes if size >= rows)
                if rows < size:
                    padded = part.new_zeros((size, *part.shape[1:]))
                    padded[:rows] = part
                    yield self.function(padded)[:rows]
                else:
                    is_aligned = part.is_contiguous() and part.data_ptr() % _ALIGNED == 0
                    yield self.function(part if is_aligned else part.contiguous().clone())

    def _find_sizes(self) -> None:
        largest = self.largest
        x = self._random(largest)
        with threads(1):
            expected = self.function(x)
        if not self._agrees(x, expected):
            self._one_thread = True
        with threads(1 if self._one_thread else None):
            if not self._agrees(x, expected):
                self._sizes = [1]
                return
            sizes = []
            size = SMALLEST
            while size < largest:
                if self._agrees(x[:size].clone(), expected[:size]):
                    sizes.append(size)
                size *= 2
            self._sizes = [*sizes, largest]

    def _agrees(self, x: Tensor, expected: Tensor) -> bool:
        """Whether samples have these results, at their places and one place on."""
        moved = self.function(x.roll(1, 0)).roll(-1, 0)
        return bool(self.function(x).equal(expected) and moved.equal(expected))

    def _random(self, rows: int) -> Tensor:
        noise = torch.Generator().manual_seed(0)
        return torch.rand(rows, *self.shape, generator=noise).to(self.like)


def _cut(rows: int, sizes: Sequence[int]) -> list[int]:
    """Into how many rows each so many are cut: chunks of the sizes, the last one with padding."""
    whole, left = divmod(rows, sizes[-1])
    cut = [sizes[-1]] * whole
    while left:
        padded = next(size for size in sizes if size >= left)
        smaller = [size for size in sizes if size < left]
        fits = padded - left <= MOST_PADDING or not smaller
        cut.append(left if fits else smaller[-1])
        left -= cut[-1]
    return cut
