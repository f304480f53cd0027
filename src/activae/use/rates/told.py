"""A study in the terminal: PSNR at some numbers of bits, the bits saved, the answer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap

import numpy as np

from activae.compare.terminal import WIDTH, shown
from activae.config.wording import clipped_apart
from activae.use.rates.curves import Curve, gain, rates_between
from activae.use.rates.study import PCA_NAME, Study

RATES = 5
WEIGHTS = (
    "The network itself, or PCA's components, must be on both sides and is not counted; JPEG, "
    "WebP, PNG and zlib know nothing of the data."
)


@dataclass(frozen=True)
class Row:
    """A method's means over seeds.

    psnr: in dB at each of `rates_told`; NaN: it has no file so small. decibels, bits: what it gains
    on PCA, as of `gain`. least: bits and PSNR of its smallest file.
    """

    name: str
    is_run: bool
    psnr: list[float]
    decibels: float
    bits: float
    least: tuple[float, float]


def rates_told(study: Study) -> list[float]:
    """Round numbers of bits a pixel within those that conditions are compared between."""
    low, high = study.rates
    return [float(f"{rate:.2g}") for rate in rates_between(low, high, RATES + 2)[1:-1]]


def rows_of(study: Study) -> list[Row]:
    """The conditions, the best first, and the others."""
    runs = [_row(name, True, curves, study) for name, curves in study.curves.items()]
    return runs + [_row(name, False, [curve], study) for name, curve in study.others.items()]


def told(study: Study) -> str:
    """The study as text, lines of at most 80 columns."""
    lines = wrap(
        f"PSNR in dB of {study.images} test images, by bits a pixel, all of the files counted; "
        "then what is gained on PCA: dB at equal bits, bits at equal PSNR (mean over seeds)",
        WIDTH,
    )
    lines += _table(study)
    exact = "; ".join(f"{name} {bits:.3f}" for name, bits in study.exact.items())
    lines += wrap(f"without loss, bits a pixel: {exact}", WIDTH) if exact else []
    lines += wrap(WEIGHTS, WIDTH)
    if study.answer is not None:
        low, high = study.rates
        said = f"At equal bits, the mean PSNR from {low:.3g} to {high:.3g} bits a pixel:"
        lines += ["", *wrap(said, WIDTH), shown(study.answer)]
    return "\n".join(lines)


def share(part: float) -> str:
    """A part as per cent with its sign; a dash where there is none."""
    return "–" if math.isnan(part) else f"{100 * part:+.0f} %".replace("-", "−")


def decibels(value: float, digits: str = ".2f") -> str:
    """A number of dB; a dash where there is none."""
    return "–" if math.isnan(value) else format(value, digits).replace("-", "−")


def _row(name: str, is_run: bool, curves: list[Curve], study: Study) -> Row:
    rates = np.array(rates_told(study))
    gains = [gain(curve, study.others[PCA_NAME]) for curve in curves]
    in_db, in_bits = (float(np.mean(column)) for column in zip(*gains, strict=True))
    if name == PCA_NAME:
        in_db = in_bits = math.nan
    smallest = min((curve.points[0] for curve in curves), key=lambda point: point.bits)
    mean = np.mean([curve.psnr_at(rates) for curve in curves], 0)
    return Row(name, is_run, mean.tolist(), in_db, in_bits, (smallest.bits, smallest.psnr))


def _table(study: Study) -> Iterator[str]:
    heads = ["bits a pixel", *(f"{rate:g}" for rate in rates_told(study)), "dB", "bits"]
    lines = [heads]
    for row in rows_of(study):
        if row.is_run or not all(map(math.isnan, row.psnr)):
            cells = [*map(decibels, row.psnr), decibels(row.decibels, "+.2f"), share(row.bits)]
        else:
            cells = [""] * RATES + ["", f"from {row.least[0]:.2g} bits, {row.least[1]:.1f} dB"]
        lines.append([row.name, *cells])
    widths = [
        max(len(line[column]) for line in lines[: 1 + len(study.curves)]) for column in range(1, 8)
    ]
    room = WIDTH - sum(2 + width for width in widths)
    names = clipped_apart([line[0] for line in lines], max(12, room))
    longest = max(map(len, names))
    for name, line in zip(names, lines, strict=True):
        if len(line[-1]) > widths[-1] and not any(line[1:-1]):
            yield f"{name:{longest}}  {line[-1]}"
            continue
        padded = (cell.rjust(width) for cell, width in zip(line[1:], widths, strict=True))
        yield "  ".join([name.ljust(longest), *padded]).rstrip()
