"""The verb explore: runs as one HTML page, to draw into and to look at codes with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activae.cli.verbs.common import Verbs, new_verb, opened, refuse_existing
from activae.errors import UserError

if TYPE_CHECKING:
    from activae.use.run import Run

MOST_SAMPLES = 200
NEARLY = 1e-3

_DESCRIPTION = """\
    python scripts/use.py explore RUN [RUN ...] page.html
    python scripts/use.py explore RUN [RUN ...] page.html --samples digits.npz

The page holds the networks: it needs no server, no network, nothing installed. Draw, drop or
choose an input and see it reconstructed by each run, move the code, go from one input to another.
Samples to choose from, and their labels, are those of the validation split of RUN's own data set
where that is on this machine, or of --samples. They are put into the page, readable for whoever has
it; --no-samples leaves them out.
"""


def add(verbs: Verbs) -> None:
    """Make the verb known."""
    parser = new_verb(
        verbs, "explore", explore, "runs to one HTML page to try them in", _DESCRIPTION
    )
    parser.add_argument("more", type=Path, nargs="*", metavar="RUN", help="other runs on such data")
    parser.add_argument("output", type=Path, metavar="PAGE.html")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--no-samples", action="store_true", help="put no samples into the page")
    chosen.add_argument(
        "--samples",
        type=Path,
        metavar="FILE",
        help=f"samples to choose from, the first {MOST_SAMPLES}: a file or folder as for "
        "encode; labels of an .npz colour the map of the code",
    )


def explore(options: argparse.Namespace) -> None:
    """Write the page. Raises UserError."""
    if options.output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{options.output}: the page comes last and ends in .html")
    refuse_existing(options.output, options)
    folders = (options.run, *options.more)
    runs = [opened(argparse.Namespace(**{**vars(options), "run": folder})) for folder in folders]
    from activae.training.files import write_whole
    from activae.use.explore.page import explore_page

    samples, labels, from_own = None, None, False
    if options.samples is not None:
        samples, labels = _samples(runs[0], options)
    elif not options.no_samples:
        samples, labels = _own_samples(runs[0])
        from_own = True
    text = explore_page(runs, samples, labels).encode()
    write_whole(options.output, text)
    print(f"{options.output}: {len(text) / 1e6:.1f} MB")
    if from_own and samples is not None:
        print(
            f"{len(samples)} samples of the validation split of {runs[0].spec.name} are in the "
            "page, for whoever has it; --no-samples leaves them out",
            file=sys.stderr,
        )


def _own_samples(run: Run) -> tuple[Any, Any]:
    """The first of the validation split of the run's data set, raw, and their labels.

    None where the data are not on this machine; says which it is.
    """
    from activae.use.own_data import own_data

    try:
        data = own_data(run)
    except UserError as error:
        print(f"no samples in the page: {error}; --samples FILE gives some", file=sys.stderr)
        return None, None
    few = data.samples["val"][:MOST_SAMPLES]
    raw, labels = data.normalisation.inverse(few), data.labels["val"]
    return _rounded(raw.cpu().numpy()), None if labels is None else labels[: len(raw)].numpy()


def _rounded(raw: Any) -> Any:
    """Whole numbers where all are but for the arithmetic of normalising: the page keeps bytes."""
    whole = raw.round()
    return whole if abs(raw - whole).max() < NEARLY else raw


def _samples(run: Run, options: argparse.Namespace) -> tuple[Any, Any]:
    """The first samples, raw, and their labels where the file has any."""
    from activae.data.sources.numpy_files import read_numpy
    from activae.use.given import given

    found = given(run, options.samples)
    samples = found.raw(0, min(found.rows, MOST_SAMPLES)).cpu().numpy()
    labels = None
    if options.samples.suffix.lower() == ".npz":
        labels = read_numpy(options.samples, None).train_labels
    return samples, None if labels is None else labels[: len(samples)]
