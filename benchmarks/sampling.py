"""New samples by the clock: what a sampler costs beside the decoder that it feeds.

The bare decoder is given codes that lie ready, in batches of 1,024, and brings what it makes back
to raw values: nothing is drawn, rounded or checked. `run.sample` does all of that, and its samples
are in the form of the data: bytes, of MNIST.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

BARE = "bare decoder"
SAMPLES = 100_000
FITTED_TO = 500  # codes: what is drawn takes as long, however well it fits
BATCH = 1_024
KINDS = ("gmm", "gaussian", "kde", "two_stage", "flow")


@dataclass
class SamplingTimes:
    """Seconds of each contender in each round, for so many samples."""

    samples: int
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def rate(self, who: str) -> float:
        """Samples a second, of its best round."""
        return self.samples / min(self.rounds[who])

    def ratio(self, who: str) -> float | None:
        """How many times the bare decoder's time, by the best round of each; None: not timed."""
        return min(self.rounds[who]) / min(self.rounds[BARE]) if who in self.rounds else None


def time_sampling(
    folder: Path, samples: int, rounds: int, tell: Callable[[str], None]
) -> SamplingTimes:
    """Time a run in a folder with samplers of each kind, in turn; none is kept."""
    import activae
    from activae.use import sampling

    run = activae.load(folder)
    made = torch.randn(FITTED_TO, *run.code_shape, generator=torch.Generator().manual_seed(0))
    calls: dict[str, Callable[[], Any]] = {BARE: bare_decoder(run, samples)}
    for kind in KINDS:
        if kind == "flow" and find_spec("zuko") is None:
            continue
        tell(f"sample: fits {kind}")
        fitted = sampling.fit(run, made, kind)
        calls[kind] = partial(sampling.sample, run, samples, 0, None, fitted)
    times = SamplingTimes(samples, {who: [] for who in calls})
    for number in range(rounds + 1):  # the first warms up
        for who, call in calls.items():
            tell(f"sample: {who}")
            started = perf_counter()
            call()
            if number:
                times.rounds[who].append(perf_counter() - started)
    return times


def bare_decoder(run: Any, samples: int) -> Callable[[], Any]:
    """Decodes codes that lie ready, by hand."""
    noise = torch.Generator().manual_seed(0)
    codes = torch.randn(samples, *run.code_shape, generator=noise)
    net, norm = run.network, run.normalisation

    @torch.inference_mode()
    def decode() -> Any:
        out = torch.empty(samples, *run.spec.shape)
        for part, place in zip(codes.split(BATCH), out.split(BATCH), strict=True):
            torch.add(norm.offset, net.decode(part) * norm.scale, out=place)
        return out.numpy()

    return decode


def show_sampling(times: SamplingTimes, console: Console) -> None:
    """Print the figures."""
    table = Table(title=f"{times.samples:,} new samples from a finished run", title_justify="left")
    for column in ("sampler", "samples a second", "of the bare decoder's time"):
        table.add_column(column, justify="left" if column == "sampler" else "right")
    for who in times.rounds:
        table.add_row(who, f"{times.rate(who):,.0f}", f"{times.ratio(who):.2f} x")
    console.print(table)


def sampling_as_json(times: SamplingTimes | None) -> dict[str, Any]:
    """The figures for a file."""
    return {} if times is None else {"sampling": vars(times)}
