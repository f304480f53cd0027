"""The verb that says what a run's codes are worth as features."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activae.cli.verbs.common import Verbs, new_verb, opened
from activae.errors import UserError

if TYPE_CHECKING:
    from activae.results.probing import Labelled
    from activae.use.run import Run

_DESCRIPTION = """\
A linear probe and 5 nearest neighbours tell labels from codes, and k-means is compared with them;
beside the code stand the values themselves and PCA of the same dimension. Higher is better.

Without INPUT the labels are those of the run's own data set, which is read again: fitted on the
training split, scored on test. With INPUT, --labels is a .npy or a text file with a label a line,
below a name or not; a random fifth of the samples is scored.
"""
_COLUMNS = {
    "accuracy": "linear probe",
    "knn_accuracy": "5 nearest",
    "nmi": "k-means NMI",
    "ari": "k-means ARI",
}
_SCORED = 5  # of so many samples of INPUT one is scored


def add(verbs: Verbs) -> None:
    """Make the verb known."""
    summary = "how well labels can be told from codes"
    parser = new_verb(verbs, "probe", act, summary, _DESCRIPTION)
    parser.add_argument("input", type=Path, nargs="?", metavar="INPUT")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="of the samples of INPUT")


def act(options: argparse.Namespace) -> None:
    """Print a table of figures. Raises UserError."""
    if (options.input is None) != (options.labels is None):
        raise UserError("INPUT and --labels FILE go together: give both, or neither")
    run = opened(options)
    from activae.results.probing import probe

    if options.input is None:
        train, scored = _own(run)
    else:
        train, scored = _given(run, options.input, options.labels)
    found = probe(run.encode_normalised, train, scored, run.code_shape[0])
    print("\n".join(_table(found, run.code_shape[0], len(scored.labels))))


def _own(run: Run) -> tuple[Labelled, Labelled]:
    """Those of the run's own data set."""
    from activae.results.probing import labelled_splits
    from activae.training.assembly import build_data

    data = build_data(run.restored.config)
    if data.labels["train"] is None:
        raise UserError(f"{data.source.name}: has no labels; give INPUT and --labels FILE")
    data.to(run.device, next(run.network.parameters()).dtype)
    return labelled_splits(data, test=True)


def _given(run: Run, source: Path, labels: Path) -> tuple[Labelled, Labelled]:
    """Those of a file; which samples are scored depends on their number alone."""
    import numpy as np
    import torch

    from activae.data.sources.files import shortened
    from activae.randomness import generator
    from activae.results.probing import Labelled

    x = run.to_network(source)
    known = _without_name(_labels(labels), len(x))
    if len(known) != len(x):
        raise UserError(f"{labels}: has {len(known)} labels, and {source} has {len(x)} samples")
    if len(np.unique(known)) > len(known) / 2:
        raise UserError(
            f"{labels}: {len(np.unique(known))} different labels of {len(known)} samples are no "
            f"classes, as {shortened(list(map(str, known[:3])))}; give a label a line, or .npy"
        )
    order = torch.randperm(len(x), generator=generator(0, "probed samples"))
    rows = order.split([len(x) - len(x) // _SCORED, len(x) // _SCORED])
    train, scored = (Labelled(x[part.to(x.device)], known[part.numpy()]) for part in rows)
    if len(scored.labels) == 0 or len(np.unique(train.labels)) < 2:
        raise UserError(f"{labels}: needs {_SCORED} labels or more, of two kinds or more")
    return train, scored


def _without_name(known: Any, samples: int) -> Any:
    """The labels without a first line that is their column's name: one more, and like no other."""
    is_named = len(known) == samples + 1 and known.dtype.kind == "U" and known[0] not in known[1:]
    return known[1:] if is_named else known


def _labels(file: Path) -> Any:
    import numpy as np

    from activae.data.sources.numpy_files import read_numpy

    if file.suffix.lower() == ".npy":
        return np.asarray(read_numpy(file, None).train).reshape(-1)
    try:
        return np.array(file.read_text(encoding="utf-8").rstrip("\n\r ").splitlines(), dtype=str)
    except OSError as error:
        raise UserError(f"--labels={file}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is no text; give .npy, or a text file, a label a line") from error


def _table(found: dict[str, Any], dim: int, samples: int) -> list[str]:
    rows = {f"code ({dim})": found, "raw values": found["raw"], f"PCA ({dim})": found["pca"]}
    width = max(map(len, rows))
    lines = [f"{f'{samples} scored':{width}}  " + "  ".join(f"{c:>12}" for c in _COLUMNS.values())]
    for name, figures in rows.items():
        lines.append(f"{name:{width}}  " + "  ".join(f"{figures[key]:12.3f}" for key in _COLUMNS))
    return lines
