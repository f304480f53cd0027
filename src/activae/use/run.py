"""A finished run as an object: new data in, codes, reconstructions and scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from activae.config.settling import container
from activae.data.spec import DataSpec
from activae.errors import DataError
from activae.models import Autoencoder
from activae.models.counts import TotalSharingHead, totals
from activae.results.scores import squared_distance
from activae.training.restoring import Restored
from activae.use.chunks import Chunked
from activae.use.forms import give
from activae.use.given import Given, expectation, given, given_codes, with_totals
from activae.use.streams import each_in_turn, is_stream

if TYPE_CHECKING:
    from activae.results.sampler import Sampler
    from activae.results.samples.scoring import SampleScores

BLOCK_BYTES = 1 << 21  # of normalised samples at a time: larger temporaries leave the cache


class Run:
    """A finished run: `encode`, `decode`, `reconstruct`, `score` and `interpolate` new data.

    Samples are given raw, as they were trained on: NumPy arrays, torch tensors, pandas DataFrames
    (columns by name), Pillow's images, lists of texts, AnnData, or the path of a file. They go
    through the run's own preparation and normalisation, and what comes out is of the like and in
    the units of what went in: an index is kept, categories are words, uint8 stays uint8. One sample
    may come without a batch dimension. A generator, or a list of arrays or tables, is taken as
    batches; a generator of results comes out, and no more than one batch is in memory.

    A sample's numbers are the same bit for bit whichever others are given with it
    (`activae.use.chunks`), and the same at each call: no dropout, no noise, no gradients.

    What does not fit is a DataError that says what the run expects beside what was given.

    Attributes:
        folder: that of the run.
        config: the run's config, a plain nested dict.
        metrics: what metrics.json holds; empty where the run has not ended.
        spec: the DataSpec of the data that it was trained on.
        network: the `Autoencoder` with the best weights, in evaluation mode, on `device`.
        normalisation: from raw samples [N, *spec.shape] to what the network takes, and back.
        preparation: from texts, cells or a table to raw samples; None where they came as numbers.
        device: where the network computes.
    """

    def __init__(
        self, folder: Path, restored: Restored, metrics: dict[str, Any], device: torch.device
    ) -> None:
        self.folder = folder
        self.restored = restored
        self.config: dict[str, Any] = container(restored.config)
        self.metrics = metrics
        self.spec: DataSpec = restored.spec
        self.network: Autoencoder = restored.net.to(device).eval()
        self.normalisation: nn.Module = restored.normalisation.to(device)
        self.preparation = restored.preparation
        self.device = device
        self._sampler: tuple[Any, Sampler] | None = None  # and the version of its file
        with torch.inference_mode():
            code = self.network.encode(self._zeros(2, *self.spec.shape))
        self.code_shape: tuple[int, ...] = tuple(code.shape[1:])
        net = self.network
        self._functions = {
            "encode": self._chunked(net.encode),
            "reconstruct": self._chunked(net),
            "score": self._chunked(lambda x: squared_distance(x, net(x))),
            "decode": Chunked(self._decode_chunk, (self._width + 1,), self._zeros(1)),
        }

    def __repr__(self) -> str:
        shapes = f"{list(self.spec.shape)} -> {list(self.code_shape)}"
        return f"<activae.Run {self.folder}: {self.spec.name}, {shapes}>"

    def encode(self, x: Any) -> Any:
        """Codes [N, k] of samples; a DataFrame with the index kept for a DataFrame or AnnData."""
        return self._each("encode", x)

    def reconstruct(self, x: Any) -> Any:
        """What the network makes of samples, in the like and the units of what was given."""
        return self._each("reconstruct", x)

    def score(self, x: Any) -> Any:
        """The SE of each sample [N]: squared error summed over features, of normalised values.

        That is what SE means everywhere in the project: the mean over a split is the SE of its
        metrics. A sample that is unlike the training data has a large one.
        """
        return self._each("score", x)

    def decode(self, z: Any, sample_totals: Any = None) -> Any:
        """Samples in raw units of codes [N, k]: an array, tensor or DataFrame of them.

        Images of 8 bits come out as uint8. A run on tables, texts or cells gives a DataFrame:
        categories as words, words and genes by name; log-normalised values of genes stay so.

        sample_totals [N]: for networks that share out each sample's total; None: all 1.
        """
        if is_stream(z):
            return each_in_turn(self.decode, z)
        return self.given_back("decode", given_codes(self, z, sample_totals))

    def sample(self, n: int, seed: int = 0, label: str | int | None = None) -> Any:
        """n new samples, in the form and units of `decode`, from the sampler kept with the run.

        label: of this class alone, where the sampler was fitted to labels. The same seed gives the
        same samples. Raises UserError where no sampler is fitted (`scripts/use.py fit-sampler`), or
        it has no such label; DataError for a sampler that is damaged or another network's.
        """
        from activae.use.sampling import sample

        return sample(self, n, seed, label, self.sampler)

    def fit_sampler(
        self, kind: str = "gmm", x: Any = None, *, seed: int = 0, **settings: Any
    ) -> Sampler:
        """Fit a density to codes and keep it beside the run, for `sample` and `log_prob`.

        kind, settings: an option of configs/sampler, and what it takes, as the `components` of gmm.
        x: samples as for `encode`; None: the training split of the run's own data set, read again,
        with a density for each label too. It takes the place of one that was kept. Raises UserError
        where the data are not at hand, and for a kind or codes that do not suit.
        """
        from activae.use.sampling import fit_and_keep

        return fit_and_keep(self, kind, x, seed=seed, **settings)

    @property
    def sampler(self) -> Sampler:
        """The density of codes kept with the run, read anew once it changes. Raises as `sample`."""
        from activae.use.sampling import FILE, read

        file = self.folder / FILE
        state = file.stat() if file.is_file() else None
        version = state and (state.st_ino, state.st_mtime_ns, state.st_size)
        if self._sampler is None or self._sampler[0] != version:
            self._sampler = (version, read(self))
        return self._sampler[1]

    def evaluate(
        self,
        sampler: str | None = None,
        *,
        n: int | None = None,
        seed: int = 0,
        real: Any = None,
        inception: str | Path | None = None,
    ) -> SampleScores:
        """How good new samples are, beside reconstructions, real samples and copies of these.

        docs/generative.md says what the figures mean.

        sampler: an option of configs/sampler: the one kept with the run where it is of that kind,
        else fitted for this; None: the one kept, or gmm. n: how many samples; None: 10,000, or as
        many as the splits have. real: samples to compare with, as for `encode`; None: the run's own
        data set, read again. inception: the file of Inception's published weights, for FID itself.
        Raises UserError where the data are not at hand, and for what does not suit the run.
        """
        from activae.use.evaluating import evaluate

        return evaluate(self, sampler, n=n, seed=seed, real=real, inception=inception)

    def log_prob(self, x: Any) -> NDArray[np.float64]:
        """ln of the density that the run's sampler gives to the code of each sample: nats, [N].

        It is a density of codes, not of samples. Raises as `sample` and `encode` do.
        """
        codes = self.encode_normalised(self.to_network(x)).cpu()
        return self.sampler.density.log_prob(codes.reshape(len(codes), -1)).numpy()

    def log_evidence(self, x: Any, samples: int = 5000, seed: int = 0) -> NDArray[np.float64]:
        """ln p(x) of each sample in nats [N], by importance weights with so many codes of each.

        It is a lower bound, nearer the more codes (Burda et al. 2016); NLL is minus its mean. For
        latent=gaussian with a likelihood: bce of pixels of 0 and 1, poisson, nb, zinb. A run on
        drawn pixels (data.source.binarise) draws grey ones here too, each by its place. Raises
        ConfigError for another run, DataError for values that have no probability.
        """
        from activae.use.evidence import log_evidence

        return log_evidence(self, x, samples, seed).numpy()

    def interpolate(self, a: Any, b: Any, n: int = 10) -> Any:
        """n samples from the reconstruction of a to that of b, evenly spaced between their codes.

        a and b are one sample each. Raises DataError where they are not.
        """
        if not isinstance(n, Integral) or n < 2:
            raise DataError(f"n={n}: give a whole number of 2 or more: both ends are among them")
        ends = [given(self, each) for each in (a, b)]
        for name, end in zip("ab", ends, strict=True):
            if end.rows != 1:
                raise DataError(f"{name}: has {end.rows} samples; give one")
        x = torch.cat([self._normalised(end, 0, 1) for end in ends])
        codes = self.encode_normalised(x)
        shares = torch.linspace(0, 1, int(n), dtype=codes.dtype, device=codes.device)[:, None]
        sums = totals(x)[:, None]
        path, known = (torch.lerp(both[:1], both[1:], shares) for both in (codes, sums))
        form = ends[0].form.several()
        raw = self.from_network(self.decode_normalised(path, known[:, 0]))
        return form.samples(form.settled(raw))

    def to_network(self, x: Any) -> Tensor:
        """Normalised samples [N, *spec.shape] on the device, as the network takes them."""
        found = given(self, x)
        return torch.cat([self._normalised(found, *part) for part in self._blocks(found.rows)])

    def from_network(self, normalised: Tensor) -> Tensor:
        """Samples [N, *spec.shape] in raw units of what the network gives."""
        inverse: Callable[[Tensor], Tensor] = self.normalisation.inverse  # type: ignore[assignment]
        return inverse(normalised)

    def encode_normalised(self, x: Tensor) -> Tensor:
        """Codes [N, k] of normalised samples [N, *spec.shape]."""
        return self._functions["encode"](x.to(self._zeros(1)))

    def reconstruct_normalised(self, x: Tensor) -> Tensor:
        """Reconstructions of normalised samples [N, *spec.shape], normalised too."""
        return self._functions["reconstruct"](x.to(self._zeros(1)))

    def decode_normalised(self, codes: Tensor, sample_totals: Tensor | None = None) -> Tensor:
        """Normalised samples [N, *spec.shape] of codes [N, k]; sample_totals as for `decode`."""
        codes = codes.to(self._zeros(1)).reshape(len(codes), -1)
        return self._functions["decode"](with_totals(codes, sample_totals))

    def expected(self) -> str:
        """What samples the run takes, in words."""
        return expectation(self)

    @property
    def shares_totals(self) -> bool:
        """Whether the network shares out each sample's total, which `decode` has to be told."""
        return isinstance(self.network.output_activation, TotalSharingHead)

    @property
    def _width(self) -> int:
        return int(torch.Size(self.code_shape).numel())

    def _decode_chunk(self, codes: Tensor) -> Tensor:
        """Of [n, k + 1]: a code and the sample's total."""
        return self.network.decode(codes[:, :-1].reshape(-1, *self.code_shape), codes[:, -1])

    def _chunked(self, function: Callable[[Tensor], Tensor]) -> Chunked:
        return Chunked(function, self.spec.shape, self._zeros(1))

    def _zeros(self, *shape: int) -> Tensor:
        dtype = self.normalisation.scale.dtype
        assert isinstance(dtype, torch.dtype)
        return torch.zeros(*shape, dtype=dtype, device=self.device)

    def _each(self, verb: str, x: Any) -> Any:
        if is_stream(x):
            return each_in_turn(partial(self._each, verb), x)
        return self.given_back(verb, given(self, x))

    def given_back(self, verb: str, found: Given) -> Any:
        """What a verb (see `parts`) makes of all rows given, in the like of them."""
        return give(verb, found.form, _joined(self.parts(verb, found), found.rows))

    def parts(self, verb: str, found: Given, at_a_time: int | None = None) -> Iterator[Tensor]:
        """What a verb makes of the rows given, so many at a time: codes, raw samples or scores.

        verb: the name of a method: encode, decode, reconstruct or score.
        """
        function = self._functions[verb]
        for first, last in self._blocks(found.rows, at_a_time):
            if verb == "decode":
                x = found.raw(first, last).to(self._zeros(1))
            else:
                x = self._normalised(found, first, last)
            out = function(x)
            is_raw = verb in ("decode", "reconstruct")
            yield found.form.settled(self.from_network(out)) if is_raw else out

    def _normalised(self, found: Given, first: int, last: int) -> Tensor:
        normalised: Tensor = self.normalisation(found.raw(first, last).to(self.device))
        return normalised

    def _blocks(self, rows: int, at_a_time: int | None = None) -> Iterator[tuple[int, int]]:
        """First and last of rows that are evaluated together; whole chunks, but for the last."""
        largest = self._functions["encode"].largest
        bytes_each = 4 * int(torch.Size(self.spec.shape).numel())
        block = at_a_time or max(1, BLOCK_BYTES // (bytes_each * largest)) * largest
        for first in range(0, max(rows, 1), block):
            yield first, min(first + block, rows)


def _joined(parts: Iterator[Tensor], rows: int) -> Tensor:
    """Parts one after the other, of which never all are in memory twice."""
    first = next(parts)
    if len(first) == rows:
        return first
    out = first.new_empty((rows, *first.shape[1:]))
    place = 0
    for part in (first, *parts):
        out[place : place + len(part)] = part
        place += len(part)
    return out
