"""The page: runs on the same data, and samples, in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from activae.compare.collect import read_runs
from activae.config.instantiating import activation_label
from activae.data.sources.tabular import ColumnFeatures
from activae.errors import UserError
from activae.models.densities.mixtures import Mixture
from activae.results.sampler import FILE
from activae.use.explore.layers import Exported

if TYPE_CHECKING:
    from activae.use.run import Run

Array = NDArray[Any]

MOST_NORMALS = 1000  # of a kernel density, whose codes come in random order

log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_SCRIPTS = ("network.js", "explore.js")
_REPORT = _HERE.parents[1] / "compare" / "report" / "page.html"  # whose styles the page shares


def explore_page(
    runs: Sequence[Run], samples: Array | None = None, labels: Array | None = None
) -> str:
    """The page on runs, as HTML.

    Args:
        runs: one or more, trained on data of the same shape and normalised alike.
        samples: raw ones [N, *shape] to choose from; none: inputs are drawn or dropped.
        labels: [N], which colour the map of the code.

    Raises:
        UserError: the runs differ in their data, or a layer cannot be put into a page.
    """
    _check_alike(runs)
    spec = runs[0].spec
    stored: Any = runs[0].normalisation
    content: dict[str, Any] = {
        "shape": spec.shape,
        "image": spec.is_image and spec.shape[0] in (1, 3),
        "range": spec.raw_range,
        "features": spec.features,
        "units": _units(runs[0]),
        "offset": _numbers(stored.offset.double() + stored.offset_rest),
        "scale": _numbers(stored.scale),
        "samples": None if samples is None else _packed(samples),
        "labels": None if labels is None else _names(labels, spec.classes),
        "runs": [
            {
                "name": name,
                "sampler": _sampler(run),
                **Exported(run.network, str(run.folder)).to_dict(),
            }
            for name, run in zip(_run_names(runs), runs, strict=True)
        ],
    }
    script = "\n".join((_HERE / name).read_text() for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    title = f"{Path(spec.name).name}: {', '.join(run['name'] for run in content['runs'])}"
    return Template((_HERE / "page.html").read_text()).substitute(
        title=escape(title),
        hash=digest,
        styles=_shared_styles(),
        # "<" never ends the element that holds the data.
        data=json.dumps(content).replace("<", "\\u003c"),
        script=script,
    )


def _check_alike(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        same = run.spec.shape == first.spec.shape and all(
            np.allclose(
                getattr(run.normalisation, name).cpu(), getattr(first.normalisation, name).cpu()
            )
            for name in ("offset", "scale")
        )
        if not same:
            raise UserError(
                f"{run.folder}: its data ({run.spec.name}, {list(run.spec.shape)}) or their "
                f"normalisation differ from those of {first.folder} ({first.spec.name}, "
                f"{list(first.spec.shape)}), so that one input does not serve both: "
                "make a page for each"
            )


def _run_names(runs: Sequence[Run]) -> list[str]:
    """The activation of each, by its option's name where the run's command says it.

    And its folder's name too where two have the same; numbered where that is the same too.
    """
    table = read_runs([run.folder for run in runs]).table
    options = dict(zip(table["path"], table.get("activation", table["path"]), strict=True))
    names = [options.get(str(run.folder)) or activation_label(run.config) for run in runs]
    named = [
        name if names.count(name) == 1 else f"{name} ({run.folder.absolute().name})"
        for name, run in zip(names, runs, strict=True)
    ]
    return [
        name if named.count(name) == 1 else f"{name[:-1]}, {number})"
        for number, name in enumerate(named, start=1)
    ]


def _sampler(run: Run) -> dict[str, Any] | None:
    """The run's sampler, where there is one of normal distributions: of very many, the first."""
    if not (run.folder / FILE).is_file():
        return None
    try:
        density = run.sampler.density
    except UserError as error:
        log.warning("no button for new samples: %s", error)
        return None
    if not isinstance(density, Mixture):
        log.warning(
            "no button for new samples: %s keeps the sampler %s; the page draws from gmm, "
            "gaussian, kde or prior",
            run.folder,
            run.sampler.recipe.kind,
        )
        return None
    latent = run.network.latent
    return {**normals(density), "sphere": latent is not None and latent.kind == "spherical"}


def normals(mixture: Mixture) -> dict[str, str]:
    """Shares, means and factors of at most 1,000 normal distributions, in base64."""
    weights, factors = mixture.log_weights[:MOST_NORMALS].exp(), mixture.factors
    return {
        "shares": _floats(weights / weights.sum()),
        "means": _floats(mixture.means[:MOST_NORMALS]),
        "factors": _floats(factors[:MOST_NORMALS]),
    }


def _floats(values: Tensor) -> str:
    return base64.b64encode(values.numpy().astype("<f4").tobytes()).decode()


def _units(run: Run) -> dict[str, list[float]] | None:
    """Of tables of columns: offset and scale from what was standardised to the column's units."""
    prep = run.preparation
    if not isinstance(prep, ColumnFeatures):
        return None
    categories = len(prep.features) - len(prep.numeric)
    learnt = prep.state()
    return {
        "offset": [*learnt["means"], *[0.0] * categories],
        "scale": [*learnt["deviations"], *[1.0] * categories],
    }


def _numbers(values: Any) -> Any:
    """One number where all are the same, else a list of all."""
    flat = values.flatten().tolist()
    return flat[0] if len(set(flat)) == 1 else flat


def _packed(samples: Array) -> dict[str, Any]:
    """Samples in base64, as bytes where they are whole numbers from 0 to 255."""
    flat = np.asarray(samples).reshape(len(samples), -1)
    small = bool(((flat >= 0) & (flat <= 255) & (flat == np.round(flat))).all())
    raw = flat.astype("u1" if small else "<f4").tobytes()
    return {"count": len(flat), "bytes": small, "text": base64.b64encode(raw).decode()}


def _names(labels: Array, classes: Sequence[str] | None) -> list[str]:
    found = np.asarray(labels).ravel().tolist()
    if classes and all(isinstance(each, int) and 0 <= each < len(classes) for each in found):
        return [classes[each] for each in found]
    return [str(each) for each in found]


def _shared_styles() -> str:
    """The report's colours and text, up to what only it has."""
    styles = _REPORT.read_text().split("<style>")[1].split("</style>")[0]
    return styles.replace("$$", "$")
