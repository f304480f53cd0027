"""The verb that says how good a run's new samples are."""

from __future__ import annotations

import argparse
from pathlib import Path

from activae.cli.end_requests import reader_may_leave
from activae.cli.verbs.common import Verbs, new_verb, opened

_DESCRIPTION = """\
    python scripts/use.py evaluate RUN
    python scripts/use.py evaluate RUN --sampler gaussian --keep

Samples are compared with the run's own test split, which is read again, or with INPUT. Beside them
stand reconstructions (what a perfect sampler has), training samples (what a perfect generator has)
and copies of these, which must be caught; where the run's own data are gone, one half of INPUT is
taken for them, and there are no copies. Distances are taken in the features of a small classifier
that learns the data's labels, or of an untrained network; FID itself needs --inception.
docs/generative.md says what each figure means.
"""


def add(verbs: Verbs) -> None:
    """Make the verb known."""
    summary = "how good new samples are, beside real ones"
    parser = new_verb(verbs, "evaluate", act, summary, _DESCRIPTION)
    parser.add_argument("input", type=Path, nargs="?", metavar="INPUT", help="real samples")
    parser.add_argument(
        "--sampler",
        metavar="KIND",
        help="one of fit-sampler's: the one kept with RUN where it is of that kind, else "
        "fitted for this (default: the one kept, or gmm)",
    )
    parser.add_argument(
        "-n", type=int, metavar="N", help="samples (default: 10000, or all of test)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the draw, and of a fit (0)"
    )
    parser.add_argument(
        "--inception", type=Path, metavar="FILE", help="Inception's published weights, for FID"
    )
    parser.add_argument("--json", action="store_true", help="figures and intervals as JSON")
    parser.add_argument(
        "--keep", action="store_true", help="write them into RUN's metrics.json, for compare"
    )


def act(options: argparse.Namespace) -> None:
    """Print a table of figures and what they mean. Raises UserError."""
    run = opened(options)
    import json

    from activae.use.evaluating import keep

    scores = run.evaluate(
        options.sampler,
        n=options.n,
        seed=options.seed,
        real=options.input,
        inception=options.inception,
    )
    with reader_may_leave():  # who reads the first lines alone may want the figures kept
        if options.json:
            print(json.dumps(scores.as_metrics(), indent=2, allow_nan=False))
        else:
            print(scores)
    if options.keep:  # after what took so long is shown: a full disk does not lose it
        keep(run, scores, options.sampler)
