"""A study as one HTML page, by what compare's reports are made of, and its plot as an SVG file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np

from activae.compare.report import page as reports
from activae.compare.report import svg
from activae.compare.report.charts import Series, figure, line_chart
from activae.compare.report.markup import Cell, Section, grid, note, table
from activae.compare.report.methods import methods
from activae.training.files import write_whole
from activae.use.rates.curves import Curve, rates_between
from activae.use.rates.study import DIM, PCA_NAME, Study
from activae.use.rates.told import WEIGHTS, decibels, rates_told, rows_of, share

COMMAND = "python scripts/use.py rate_distortion FOLDER page.html"
_STEPS = 40  # points of a curve that is drawn
_ABOVE = 3  # dB above the best run, as far as other methods are drawn
_PLACES = {PCA_NAME: 4, "JPEG, sheet": 5, "WebP, sheet": 6}  # their colours, whatever is compared
_OTHERS = 3  # of the seven colours


def write_page(study: Study, file: Path) -> None:
    """Write the page, whole or not at all. Raises OSError."""
    write_whole(file, page(study).encode(), durable=False)


def write_plot(study: Study, file: Path) -> None:
    """Write the plot of PSNR as an SVG file that stands alone. Raises OSError."""
    style = re.search(r"<style>.*?</style>", reports.document("", "", []), re.DOTALL)
    assert style is not None
    drawn = _chart(study, "PSNR").replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    start = drawn.index(">") + 1
    write_whole(file, (drawn[:start] + style[0] + drawn[start:]).encode(), durable=False)


def page(study: Study) -> str:
    """The page: the verdict at equal bits, curves, tables, how it was done."""
    found = study.answer
    sections = [*_of_curves(study), *_of_figures(study), *_without_loss(study)]
    if found is None:
        names = ", ".join(study.curves)
        return reports.document(names, f"<header><h1>{escape(names)}</h1></header>", sections)
    sections += [*reports.of_intervals(found), *reports.of_table(found)]
    sections += [*reports.of_caveats(found), *methods(found, COMMAND)]
    head = reports.header(found, sections)
    return reports.document(f"{found.factor} at equal bits: {found.verdict}", head, sections)


def _of_curves(study: Study) -> Iterator[Section]:
    charts = [figure("PSNR, dB", _chart(study, "PSNR"))]
    if study.table["SSIM"].notna().any():
        charts.append(figure("SSIM", _chart(study, "SSIM")))
    sizes = sorted(study.table["dim"].dropna().unique())
    pooled = study.answer is None or DIM not in study.answer.paired.factor
    said = (
        f"Quality of {study.images:,} test images by the bits of their file, header and tables "
        "included: the mean over seeds, in a band from the lowest to the highest. "
    )
    if pooled and len(sizes) > 1:
        listed = ", ".join(map(str, sizes))
        said += f"At each number of bits the best of the codes of {listed} dimensions is taken. "
    said += (
        "PCA has the same sizes, quantiser and coder. JPEG and WebP have all images side by side "
        "on one sheet; the smallest pictures that they make may need more bits than are drawn. "
    )
    yield Section("curves", "Bits against quality", grid(charts) + note(said + WEIGHTS))


def _chart(study: Study, of: str) -> str:
    series = [*_of_runs(study, of), *_of_others(study, of)]
    return line_chart(series, "bits a pixel", of, log_x=True)


def _of_runs(study: Study, of: str) -> Iterator[Series]:
    for place, (name, curves) in enumerate(study.curves.items()):
        low = max(curve.bits[0] for curve in curves)
        high = float(np.median([curve.bits[-1] for curve in curves]))
        rates = rates_between(low, max(low, high), _STEPS)
        values = np.array([_values(curve, rates, of) for curve in curves])
        mean, least, most = (f(values, axis=0).tolist() for f in (np.mean, np.min, np.max))
        coloured = place < svg.COLOURS - _OTHERS
        shown = place if coloured else svg.COLOURS + place
        yield Series(name, shown, rates.tolist(), mean, least, most)


def _of_others(study: Study, of: str) -> Iterator[Series]:
    top = max(curve.points[-1].psnr for curves in study.curves.values() for curve in curves)
    for name, place in _PLACES.items():
        curve = study.others.get(name, Curve(()))
        points = [point for point in curve.points if point.psnr < top + _ABOVE]
        if points:
            rates = np.array([point.bits for point in points])
            values = _values(curve, rates, of)
            yield Series(name, place, rates.tolist(), list(values), marks=True)


def _values(curve: Curve, rates: np.ndarray, of: str) -> np.ndarray:
    return curve.psnr_at(rates) if of == "PSNR" else curve.ssim_at(rates)


def _of_figures(study: Study) -> Iterator[Section]:
    rates = rates_told(study)
    heads = [
        "method",
        *(f"at {rate:g}" for rate in rates),
        "dB on PCA",
        "bits on PCA",
        "least bits",
    ]
    cells = [
        [
            Cell(escape(row.name), row.name),
            *(Cell(decibels(value), value) for value in row.psnr),
            Cell(decibels(row.decibels, "+.2f"), row.decibels),
            Cell(share(row.bits), row.bits),
            Cell(f"{row.least[0]:.3g} ({row.least[1]:.1f} dB)", row.least[0]),
        ]
        for row in rows_of(study)
    ]
    best: Sequence[str] = study.answer.best if study.answer else ()
    said = (
        "PSNR in dB at so many bits a pixel, mean over seeds; –: there is no file so small. On "
        "PCA: the mean difference in PSNR at equal bits, and in bits at equal PSNR (Bjøntegaard "
        "2001), where both have files. Least bits: the smallest file that was made, with its PSNR; "
        "JPEG and WebP without a sheet have a file for each image, most of which is header."
    )
    body = table(heads, cells, list(best), "PSNR by bits a pixel") + note(said)
    yield Section("figures", "In figures, beside others", body)


def _without_loss(study: Study) -> Iterator[Section]:
    if not study.exact:
        return
    heads = ["without loss", "bits a pixel"]
    cells = [
        [Cell(escape(name), name), Cell(f"{bits:.3f}", bits)] for name, bits in study.exact.items()
    ]
    said = (
        "--lossless codes what is left beside the reconstruction of the run with the least "
        "validation error. zlib and PNG are told nothing of the data."
    )
    body = table(heads, cells, [], "bits a pixel without loss") + note(said)
    yield Section("exact", "Without loss", body)
