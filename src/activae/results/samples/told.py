"""The figures of samples in words: a table of 80 columns, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from activae.config.wording import wrapped
from activae.results.samples.features import OwnFeatures
from activae.results.samples.inception import FEW
from activae.results.samples.scoring import BESIDE, COPIES, REAL, RECONSTRUCTIONS

NAMES = {
    "frechet": "Frechet distance",
    "kernel": "kernel distance",
    "sliced_w2": "sliced W2",
    "precision": "precision",
    "density": "density",
    "recall": "recall",
    "coverage": "coverage",
    "one_nn": "1-NN accuracy",
    "nearest_train": "nearest train",
    "label_coverage": "labels covered",
    "label_entropy": "label entropy",
}
_HEADS = {RECONSTRUCTIONS: "reconstr.", REAL: "real", COPIES: "copies"}
_REPEATS = 0.5  # of what reconstructions have: samples as near to training samples repeat them


def table(found: Mapping[str, Any]) -> list[str]:
    """Lines of the table of what `SampleScores.as_metrics` gives."""
    beside = [name for name in BESIDE if name in found]
    heads = "".join(f"{_HEADS[name]:>11}" for name in beside)
    lines = [f"{'':17}{'samples':>9}  {'95 % interval':18}{heads}"]
    for name, text in NAMES.items():
        if name in found:
            low, high = (found[end].get(name) for end in ("low", "high"))
            decimals = _decimals(found[name], low, high)
            interval = ""
            if low is not None and high is not None:
                interval = f"[{_number(low, decimals)}, {_number(high, decimals)}]"
            others = "".join(f"{_number(found[each].get(name)):>11}" for each in beside)
            lines.append(f"{text:17}{_number(found[name], decimals):>9}  {interval:18}{others}")
    return lines


def notes(found: Mapping[str, Any]) -> Iterator[str]:
    """What the figures mean, in sentences of at most 80 columns a line."""
    knows_labels = "label_entropy" in found
    space = f"{'classifier' if knows_labels else 'untrained network'} {found['features']}"
    if found["classifier_accuracy"] is not None:
        right = f"{100 * found['classifier_accuracy']:.1f} % of {found['split']} right"
        space = f"classifier {found['features']} ({right})"
    if found["space"] != OwnFeatures.name:
        space = f"{found['space']} ({found['features']}): the Frechet distance is an FID"
        if found["n"] < FEW:
            space += f", of fewer than {FEW} samples, which makes it too large"
    yield wrapped(
        f"note   {found['n']} of each against as many of {found['split']}; sampler "
        f"{found['sampler']}; features of {space}"
    )
    if COPIES in found:
        yield wrapped(
            "note   real: training samples, what a perfect generator has. reconstr.: of the same, "
            "what a perfect sampler has. copies: of a generator that repeats training samples: "
            f"good by all distances, caught by nearest train, "
            f"{_number(found[COPIES]['nearest_train'])}"
        )
    else:
        yield wrapped(
            f"note   real: one half of {found['split']}, compared with the other: what a perfect "
            "generator has. reconstr.: of the same, what a perfect sampler has"
        )
        yield wrapped(
            "note   copies and nearest train are left out, because nothing tells here what the run "
            f"was trained on: {found['left_out']}"
        )
    near, wanted = (part.get("nearest_train") for part in (found, found[RECONSTRUCTIONS]))
    if near is not None and wanted is not None and near < _REPEATS * wanted:
        yield wrapped(
            f"note   these samples lie near training samples: nearest train {_number(near)}, where "
            f"reconstructions have {_number(wanted)}: they repeat what was trained on"
        )


def _decimals(*values: float | None) -> int:
    """How many decimals values of a line have: the largest has four digits, or four behind a 0."""
    largest = max((abs(each) for each in values if each is not None), default=0.0)
    return 4 if largest <= 1 else max(0, 4 - len(str(int(largest))))


def _number(value: float | None, decimals: int | None = None) -> str:
    if value is None:
        return "-"
    if abs(value) >= 1e6:  # as many digits as the columns have room for
        return f"{value:.1e}"
    return f"{value:.{_decimals(value) if decimals is None else decimals}f}"
