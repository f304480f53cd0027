"""The verbs that make new samples: fit-sampler and sample."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from activae.cli.verbs.common import Verbs, new_verb, opened, progress, refuse_existing
from activae.config.wording import counted
from activae.errors import UserError

# As activae.models.densities.mixtures has them, which is slow to import.
CANDIDATES = "1, 2, 3, 5, 10, 20 and 40"

_FITTING = """\
    python scripts/use.py fit-sampler RUN
    python scripts/use.py fit-sampler RUN --sampler kde
    python scripts/use.py fit-sampler RUN --components bic

The density of the codes of the run's own training split, which is read again, or of INPUT: gmm
(normal distributions with full covariances), gaussian (one), kde (one around each code), prior (of
a run that was trained towards one, as a vae), flow (a normalising flow), or two_stage (a VAE on the
codes). Where the data have labels, one for each label too. It is kept in RUN, as sampler.pt.
"""
_DRAWING = """\
    python scripts/use.py sample RUN 100 digits.png
    python scripts/use.py sample RUN 100000 digits.npy --seed 1
    python scripts/use.py sample RUN 20 threes.png --label 3

Codes are drawn from the sampler of RUN (fit-sampler makes it) and decoded, in the units of the
data. Images in one .png are a sheet; any other OUTPUT is as for decode.
"""


def add(verbs: Verbs) -> None:
    """Make the two verbs known."""
    fitting = new_verb(verbs, "fit-sampler", fit, "a density of codes, to sample from", _FITTING)
    fitting.add_argument(
        "input",
        type=Path,
        nargs="?",
        metavar="INPUT",
        help="samples to fit to (default: the training split of the run's own data)",
    )
    fitting.add_argument(
        "--sampler",
        default="gmm",
        metavar="KIND",
        help="gmm, gaussian, kde, prior, flow, two_stage",
    )
    fitting.add_argument(
        "--components",
        metavar="N",
        help=f"of gmm (10); bic: of {CANDIDATES}, as many as have the least BIC",
    )
    fitting.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the fit, as of where a gmm starts (0)"
    )
    drawing = new_verb(verbs, "sample", sample, "new samples, in the units of the data", _DRAWING)
    drawing.add_argument("n", type=int, metavar="N", help="how many")
    drawing.add_argument("output", type=Path, metavar="OUTPUT")
    drawing.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the draw: the same, the same samples (0)",
    )
    drawing.add_argument("--label", metavar="NAME", help="of this class alone")


def fit(options: argparse.Namespace) -> None:
    """Fit and keep the sampler. Raises UserError."""
    run = opened(options)
    from time import perf_counter

    from activae.config.wording import wrapped
    from activae.use.sampling import FILE, KINDS, fit_and_keep, refuse

    if options.sampler not in KINDS:
        raise UserError(f"--sampler={options.sampler}: choose one of {', '.join(KINDS)}")
    settings = {}
    if options.components is not None:
        settings["components"] = _components(options)
    refuse(run, options.sampler)
    file = run.folder / FILE
    if file.exists() and not options.force:
        raise UserError(f"{file}: is kept with the run already; --force fits another in its place")
    started = perf_counter()
    found = fit_and_keep(
        run,
        options.sampler,
        options.input,
        seed=options.seed,
        told=partial(progress, "fitted", noun="densities"),
        **settings,
    )
    for note in found.notes:
        print(wrapped(f"note   {note}"), file=sys.stderr)
    print(f"{file}: {found}{found.took(perf_counter() - started)}")


def sample(options: argparse.Namespace) -> None:
    """Draw, decode and write. Raises UserError."""
    refuse_existing(options.output, options)
    run = opened(options)
    from activae.use.transforming import check_samples, write_samples

    check_samples(run, options.output)
    made = run.sample(options.n, options.seed, options.label)
    write_samples(run, made, options.output)
    made_of = "" if options.label is None else f" of label {options.label}"
    samples = f"{counted(options.n, 'new sample')}{made_of}"
    print(f"{options.output}: {samples}, by the sampler {run.sampler.recipe.kind}")


def _components(options: argparse.Namespace) -> int | None:
    text = options.components
    if options.sampler != "gmm":
        raise UserError(f"--components={text}: is of --sampler=gmm; leave it out")
    if text == "bic":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--components={text}: give a whole number of 1 or more, or bic")
    return int(text)
