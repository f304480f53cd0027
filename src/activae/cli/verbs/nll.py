"""The verb that says how likely a run takes samples to be."""

from __future__ import annotations

import argparse
from functools import partial
from math import isfinite, log
from pathlib import Path

from activae.cli.verbs.common import Verbs, new_verb, opened, own_data_of, progress
from activae.errors import UserError

_DESCRIPTION = """\
    python scripts/use.py nll RUN
    python scripts/use.py nll RUN pictures.npy --samples 500

Minus the mean of ln p(x) in nats, by importance weights with so many codes of
each sample, and its standard error over samples: of the test split of the run's
own data, which is read again, or of INPUT. For latent=gaussian with
objective=bce on pixels of 0 and 1 (data.source.binarise=dynamic), poisson, nb
or zinb, and for objective=iwae with one of these.
"""


def add(verbs: Verbs) -> None:
    """Make the verb known."""
    parser = new_verb(verbs, "nll", act, "how likely samples are, in nats", _DESCRIPTION)
    parser.add_argument(
        "input",
        type=Path,
        nargs="?",
        metavar="INPUT",
        help="samples (default: the test split of the run's own data)",
    )
    parser.add_argument(
        "--samples", type=int, default=5000, metavar="K", help="codes of each sample (5000)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="take the first N samples alone")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the codes (0)")


def act(options: argparse.Namespace) -> None:
    """Print the figure. Raises UserError."""
    for name in ("samples", "limit"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name}={value}: give a whole number of 1 or more")
    run = opened(options)
    from activae.objectives.importance import nll_figures
    from activae.use.evidence import normalised, of_normalised

    own = options.input is None
    x = own_data_of(run).samples["test"][:] if own else normalised(run, options.input)
    x = x[: options.limit]
    found = of_normalised(run, x, options.samples, options.seed, partial(progress, "nll"))
    nll, error = nll_figures(found)
    values = x[0].numel()
    sure = f", standard error {error:.2f}" if isfinite(error) else ""  # of one sample none is known
    print(
        f"NLL  {nll:.2f} nats a sample{sure} ({len(x)} samples, "
        f"{options.samples} codes each)\n"
        f"     {nll / values / log(2):.4f} bits for each of {values} values"
    )
