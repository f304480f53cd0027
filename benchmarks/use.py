"""A finished run put to work by the clock: beside others on the same network, and its memory.

Raw torch is what one would write by hand: to float, normalise, one call, back; all samples in one
batch, nothing checked. pythae's model, where it is installed, is given the same normalised batch.
Ours checks values, and gives each sample the same bits in any batch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.race import environment

SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
VERBS = ("encode", "decode", "reconstruct")
STREAMED = (10_000, 1_000_000)
SAMPLES_A_LAP = 20_000  # of small batches so many times that this many samples are seen
MOST_CALLS = 300


@dataclass
class UseTimes:
    """Best seconds a call of each contender, by verb and number of samples.

    load: seconds of a fresh process from its start to a loaded run; peak_mb: memory of encoding a
    file of so many samples to another, without what is mapped.
    """

    seconds: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)
    peak_mb: dict[int, float] = field(default_factory=dict)


def trained(configs: Path, scratch: Path, *data: str) -> Path:
    """The folder of a short run of the article's network, by default on vectors of 784 values."""
    from activae.results.run import train
    from benchmarks.ours import UNRECORDED, config

    quick = (
        *(data or ("data=random",)),
        "trainer=cpu",
        "trainer.max_steps=32",
        "logger.progress_bar=false",
    )
    train(config(configs, (*quick, UNRECORDED)), scratch / "run")
    return scratch / "run"


def time_use(
    folder: Path, scratch: Path, sizes: Sequence[int], rounds: int, tell: Callable[[str], None]
) -> UseTimes:
    """Time the run in a folder; files to read go to `scratch`."""
    import activae

    run = activae.load(folder)
    others = {"raw": _by_hand, **({"pythae": _by_pythae} if find_spec("pythae") else {})}
    times = UseTimes({who: {verb: {} for verb in VERBS} for who in ("ours", *others)})
    noise = np.random.default_rng(0)
    for size in sizes:
        low, high = run.spec.raw_range
        x = noise.random((size, *run.spec.shape), dtype=np.float32)
        x *= high - low
        x += low
        for verb in VERBS:
            tell(f"use: {verb} {size} samples")
            given = run.encode(x) if verb == "decode" else x
            calls = {"ours": getattr(run, verb)}
            calls |= {who: make(run, verb) for who, make in others.items()}
            for who, best in _race(calls, given, rounds).items():
                times.seconds[who][verb][size] = best
    times.load = [_seconds_to_load(folder, scratch) for _ in range(rounds)]
    for size in STREAMED:
        if size <= max(sizes) * 10:
            tell(f"use: memory for {size} samples")
            times.peak_mb[size] = _peak_mb(run, folder, scratch, size)
    return times


def show_use(times: UseTimes, console: Console) -> None:
    """Print the figures."""
    ours, *others = times.seconds
    for other in others:
        table = Table(title=f"a finished run: samples a second (time beside {other}'s)")
        for column in ("samples", *VERBS):
            table.add_column(column, justify="right")
        for size in times.seconds[ours][VERBS[0]]:
            table.add_row(f"{size:,}", *(_cell(times, verb, size, other) for verb in VERBS))
        console.print(table)
    console.print(f"load     {min(times.load):.2f} s in a fresh process", highlight=False)
    for size, peak in times.peak_mb.items():
        console.print(f"memory   {peak:.0f} MB to encode {size:,} samples", highlight=False)


def _cell(times: UseTimes, verb: str, size: int, other: str) -> str:
    best = times.seconds["ours"][verb][size]
    return f"{size / best:,.0f} ({best / times.seconds[other][verb][size]:.2f})"


def use_as_json(times: UseTimes | None) -> dict[str, Any]:
    """The figures for a file."""
    return {} if times is None else {"use": vars(times)}


def _by_hand(run: Any, verb: str) -> Callable[[Any], Any]:
    net, norm = run.network, run.normalisation
    function = {"encode": net.encode, "decode": net.decode, "reconstruct": net}[verb]

    @torch.inference_mode()
    def by_hand(given: Any) -> Any:
        x = torch.from_numpy(given)
        if verb != "decode":
            x = (x - norm.offset) / norm.scale
        out = function(x)
        return (out if verb == "encode" else out * norm.scale + norm.offset).numpy()

    return by_hand


def _by_pythae(run: Any, verb: str) -> Callable[[Any], Any]:
    """pythae's AE around the run's encoder and decoder, called as its documentation does."""
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    net, norm = run.network, run.normalisation

    class Encoder(BaseEncoder):
        def forward(self, x: torch.Tensor) -> Any:
            return ModelOutput(embedding=net.encode(x))

    class Decoder(BaseDecoder):
        def forward(self, code: torch.Tensor) -> Any:
            return ModelOutput(reconstruction=net.decode(code))

    dim = run.config["encoding"]["dim"]
    model = AE(AEConfig(input_dim=run.spec.shape, latent_dim=dim), Encoder(), Decoder()).eval()
    decode = lambda code: model.decoder(code).reconstruction  # noqa: E731
    function = {"encode": model.embed, "decode": decode, "reconstruct": model.reconstruct}[verb]

    @torch.inference_mode()
    def by_pythae(given: Any) -> Any:
        x = torch.from_numpy(given)
        out = function(x if verb == "decode" else (x - norm.offset) / norm.scale)
        return (out if verb == "encode" else out * norm.scale + norm.offset).numpy()

    return by_pythae


def _race(
    contenders: Mapping[str, Callable[[Any], Any]], given: Any, rounds: int
) -> dict[str, float]:
    """The best seconds of each, called in turn."""
    calls = max(1, min(MOST_CALLS, SAMPLES_A_LAP // len(given)))
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds + 1):  # the first warms up, and is beaten
        for who, function in contenders.items():
            for _ in range(calls):
                started = perf_counter()
                function(given)
                best[who] = min(best[who], perf_counter() - started)
    return best


def _seconds_to_load(folder: Path, scratch: Path) -> float:
    started = perf_counter()
    _python(f"import activae; activae.load({str(folder)!r})", scratch)
    return perf_counter() - started


def _peak_mb(run: Any, folder: Path, scratch: Path, size: int) -> float:
    """The most memory of a process that encodes a file, without mapped pages: those come and go."""
    file = scratch / f"{size}.npy"
    mapped = np.lib.format.open_memmap(file, "w+", np.float32, (size, *run.spec.shape))
    del mapped  # a file of zeros, which takes no room on the disk
    code = f"""
import json
from pathlib import Path
import activae
from activae.use.transforming import transform
def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
run, peak = activae.load({str(folder)!r}), [0]
tell = lambda done, rows: peak.append(anonymous())
transform(run, "encode", Path({str(file)!r}), Path({str(scratch / "codes.npy")!r}), None, tell)
print(json.dumps(max(peak) / 1e3))
"""
    peak = float(json.loads(_python(code, scratch)))
    for path in (file, scratch / "codes.npy"):
        path.unlink()
    return peak


def _python(code: str, scratch: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=scratch,
        env=environment(scratch),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
