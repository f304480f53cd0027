"""From folders of finished runs to curves, one for each condition and seed, and the answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from activae.compare.answer import Answer, answer
from activae.compare.collect import DIVERGED, DONE, Runs, read_runs
from activae.compare.pairing import LR, SEED, Paired, pair
from activae.config.identity import data_changed, data_key
from activae.config.settling import container
from activae.config.wording import counted
from activae.data.module import AutoencoderDataModule
from activae.errors import DataError, UserError
from activae.results.pca import PCA
from activae.training.assembly import build_data
from activae.use.arrays import BYTES, declared_range
from activae.use.compression.packing import check_can_compress, coding_of, compress
from activae.use.loading import load
from activae.use.rates.curves import Curve, common_rates, rates_between
from activae.use.rates.files import Images, Point, pca_coding, points_of
from activae.use.rates.others import has_others, lossless, lossy
from activae.use.run import Run

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

DIM = "encoding.dim"
METRIC = "rate/PSNR"  # short: it heads a column
PCA_NAME = "PCA"
_SEES_TEST = "score.test"


@dataclass(frozen=True, eq=False)
class Study:
    """What was measured.

    table: a row for each file: method, dim, seed, asked, images, bytes, bits_a_pixel, PSNR, SSIM,
    run. curves: of each condition, the best first, one for each seed. others: PCA, JPEG, ... by
    name. exact: bits a pixel of what loses nothing. rates: bits a pixel, lowest and highest, that
    conditions are compared between. images: how many. answer: None of a single run.
    """

    table: pd.DataFrame
    curves: dict[str, list[Curve]]
    others: dict[str, Curve]
    exact: dict[str, float]
    rates: tuple[float, float]
    images: int
    answer: Answer | None


def study(
    paths: Sequence[Path],
    by: Sequence[str] = (),
    where: Sequence[str] = (),
    device: str = "cpu",
    trusted: Sequence[str] = (),
) -> Study:
    """Compress the test images with every run and with others; compare the runs at equal bits.

    paths, by, where: as for `compare`. Of each condition and seed all sizes of code make one curve,
    unless it is them that are compared. Raises UserError where the runs cannot be compared so, or
    are not of images.
    """
    runs = read_runs(paths)
    compared, paired = _compared(runs, by, where)
    _check(compared, paired)
    first = load(compared["path"].iloc[0], device, trusted)
    data = _data(first)
    images, x = Images.of_test(data)
    rows: list[dict[str, Any]] = []
    found: dict[tuple[str, Any], list[Point]] = {}
    finished = compared[compared["status"] == DONE]
    for place, (_, row) in enumerate(finished.iterrows(), 1):
        run = load(row["path"], device, trusted)
        _same_images(run, first)
        points = list(points_of(coding_of(run, images.raw.numpy()), images))
        found.setdefault((row["condition"], row[SEED]), []).extend(points)
        about = {"method": row["condition"], "dim": row[DIM], "seed": row[SEED]}
        rows += [about | _as_row(point) | {"run": row["path"]} for point in points]
        log.info("%d of %d  %s: %s", place, len(finished), row["path"], _told(points[0]))
    others = dict(_others(data, images, x, sorted(finished[DIM].unique()), rows))
    curves = {key: Curve.of(points) for key, points in found.items()}
    low, high = common_rates(list(curves.values()))
    answered = None if paired is None else _answer(runs, paired, curves, (low, high))
    order = [first_condition(compared)] if answered is None else answered.table["condition"]
    return Study(
        table=_frame(rows),
        curves={
            str(name): [curves[key] for key in curves if key[0] == name]
            for name in order
            if any(key[0] == name for key in curves)
        },
        others=others,
        exact=_exact(finished, images, device, trusted),
        rates=(low, high),
        images=len(images.raw),
        answer=answered,
    )


def first_condition(runs: pd.DataFrame) -> str:
    """The name of a single run's condition."""
    return str(runs["condition"].iloc[0])


def _compared(
    runs: Runs, by: Sequence[str], where: Sequence[str]
) -> tuple[pd.DataFrame, Paired | None]:
    """The runs with their conditions, and how they pair; None for a single one."""
    ended = runs.table[runs.table["status"] == DONE]
    if len(ended) == 1 and not where and not by:
        return ended.assign(condition=ended["activation"].map(str)), None
    paired = pair(runs, by, None, where)
    others = [key for key in paired.averaged if key != DIM]
    if others:
        key = others[0]
        raise UserError(
            f"{key} varies beside {', '.join(paired.factor)}: a curve is that of one; choose: "
            f"--where {key}={paired.averaged[key][0]}"
        )
    return paired.runs, paired


def _check(runs: pd.DataFrame, paired: Paired | None) -> None:
    if (runs[_SEES_TEST].map(str) == "False").any():
        raise UserError(
            "these runs keep off the test split (score.test=false), and files are compared on it: "
            "give runs that were scored on test"
        )
    if not (runs["status"] == DONE).any():
        raise UserError(f"none of {counted(len(runs), 'run')} has ended without diverging")
    if paired is not None and len(paired.conditions) < 2:
        raise UserError("a comparison needs two conditions")


def _data(run: Run) -> AutoencoderDataModule:
    """The data set of a run, read again. UserError where it is none of images."""
    if not run.spec.is_image:
        raise UserError(
            f"{run.folder}: was trained on {run.spec.name}, which are no images: bits a pixel "
            "against PSNR and SSIM is for images; of other data, compare sizes of files by "
            "scripts/use.py compress"
        )
    check_can_compress(run)
    if data_changed(container(run.restored.config), run.metrics.get("data_content")):
        raise DataError(
            f"{run.folder}: its data file has changed since the run was trained: which images are "
            "of the test split can no longer be told"
        )
    data = build_data(run.restored.config)
    if not isinstance(data.samples["test"], np.ndarray) and not len(data.samples["test"]):
        raise UserError(f"{run.folder}: its data have no test images; set data.test_fraction=0.2")
    return data


def _same_images(run: Run, first: Run) -> None:
    check_can_compress(run)
    one, other = (data_key(container(each.restored.config)) for each in (run, first))
    if one != other:
        raise UserError(
            f"{run.folder} and {first.folder} were not trained on the same data, split and "
            "normalisation: their files cannot be compared; choose by --where, as --where "
            f"data={run.spec.name} or --where data.split_seed=0"
        )


def _others(
    data: AutoencoderDataModule,
    images: Images,
    x: Any,
    dims: Sequence[int],
    rows: list[dict[str, Any]],
) -> Iterator[tuple[str, Curve]]:
    """The curve of each other method by name; a row for each of their files goes to `rows`."""
    pca = PCA.fit(data.samples["train"])
    points: list[Point] = []
    for dim in dims:
        of_dim = list(points_of(pca_coding(pca, data, images, x, int(dim)), images))
        rows += [{"method": PCA_NAME, "dim": dim} | _as_row(point) for point in of_dim]
        points += of_dim
    log.info("%s", PCA_NAME)
    yield PCA_NAME, Curve.of(points)
    if not has_others(images):
        return
    found: dict[str, list[Point]] = {}
    for name, point in lossy(images):
        rows.append({"method": name} | _as_row(point))
        found.setdefault(name, []).append(point)
    log.info("%s", ", ".join(found))
    yield from ((name, Curve.of(points)) for name, points in found.items())


def _exact(
    runs: pd.DataFrame, images: Images, device: str, trusted: Sequence[str]
) -> dict[str, float]:
    """Bits a pixel without loss; of the runs, the one of least SE/val stands for them."""
    if not has_others(images):
        return {}
    found = lossless(images)
    run = load(runs.loc[runs["val/SE"].idxmin(), "path"], device, trusted)
    if declared_range(run) == BYTES:
        packed = compress(run, images.raw.numpy().astype(np.uint8), lossless=True)
        name = runs.loc[runs["val/SE"].idxmin(), "condition"]
        found = {f"{name}, --lossless": 8 * len(packed.content) / images.pixels} | found
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def _answer(
    runs: Runs, paired: Paired, curves: dict[tuple[str, Any], Curve], rates: tuple[float, float]
) -> Answer:
    """compare's answer on the mean PSNR over rates, a score for each condition and seed."""
    import pandas as pd

    every = paired.runs
    grid = rates_between(*rates)
    sizes = set(every[DIM]) if DIM in paired.averaged else set()
    rows, lacking = [], []
    for (condition, seed), own in every.groupby(["condition", SEED], sort=False):
        if sizes - set(own[DIM]):
            lacking.append(f"{condition} of seed {seed}")
            continue
        curve = curves.get((condition, seed))
        mean = np.nan if curve is None else float(curve.psnr_at(grid).mean())
        row = own.iloc[0].copy()
        for key in (DIM, LR):  # they vary within the one score
            if key in own and own[key].nunique() > 1:
                row[key] = None
        row["status"] = DIVERGED if curve is None else DONE
        row[METRIC] = mean
        rows.append(row)
    table = pd.DataFrame(rows, columns=[*every.columns, METRIC])
    found = answer(Runs(table, runs.keys, runs.damaged), paired.factor, METRIC)
    found.paired.runs = every
    left_out = list(paired.left_out)
    if lacking:
        left_out.append(f"left out, for they lack a size of code: {', '.join(lacking)}")
    if sizes:
        left_out.append(
            "at each number of bits the best size of code is taken by its test images: choosing "
            f"among {len(sizes)} makes all curves a little too good"
        )
    return replace(found, caveats=[*found.caveats, *left_out])


def _as_row(point: Point) -> dict[str, Any]:
    return {
        "asked": point.asked,
        "images": point.images,
        "bytes": point.size,
        "bits_a_pixel": point.bits,
        "PSNR": point.psnr,
        "SSIM": point.ssim,
    }


def _frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    columns = ["method", "dim", "seed", *_as_row(Point(1, 1, 1, 1, 1, "")), "run"]
    return pd.DataFrame(rows, columns=columns).astype({"dim": "Int64", "seed": "Int64"})


def _told(point: Point) -> str:
    return f"at the most {point.bits:.4f} bits a pixel, {point.psnr:.2f} dB"
