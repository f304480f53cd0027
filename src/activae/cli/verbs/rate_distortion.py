"""The verb rate_distortion: bits a pixel against PSNR and SSIM, of a sweep and of others."""

from __future__ import annotations

import argparse
from pathlib import Path

from activae.cli.verbs.common import Verbs, new_verb, refuse_existing
from activae.errors import UserError

_DESCRIPTION = """\
    python train.py -m experiment=rate_distortion sweep=rates
    python scripts/use.py rate_distortion outputs/sweeps/rates page.html

RUN is the folder of a sweep, or any that holds runs of images; their data set is read again. Every
run's code of the test images is written as .aez files of several sizes, and so is that of PCA;
JPEG, WebP, PNG and zlib stand beside. All sizes of code of an activation make one curve, and
activations are compared at equal bits, paired by seed, as scripts/compare.py does.
"""


def add(verbs: Verbs) -> None:
    """Make the verb known."""
    summary = "bits a pixel against PSNR and SSIM, beside PCA, JPEG, WebP"
    parser = new_verb(verbs, "rate_distortion", act, summary, _DESCRIPTION)
    parser.add_argument("more", type=Path, nargs="*", metavar="RUN", help="more folders")
    parser.add_argument("output", type=Path, metavar="PAGE.html")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row for each file made")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the plot of PSNR")
    parser.add_argument(
        "--by", default="", metavar="KEY[,KEY]", help="what to compare, as scripts/compare.py"
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only runs with this value, or one of these; may be given several times",
    )


def act(options: argparse.Namespace) -> None:
    """Measure, write what was asked for, and print a table. Raises UserError."""
    if options.output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{options.output}: the page comes last and ends in .html")
    for path in filter(None, (options.output, options.csv, options.svg)):
        refuse_existing(path, options)
    from activae.training.files import write_whole
    from activae.use.rates.page import write_page, write_plot
    from activae.use.rates.study import study
    from activae.use.rates.told import told

    by, trusted = (
        [name for name in map(str.strip, listed.split(",")) if name]
        for listed in (options.by, options.trusted)
    )
    found = study([options.run, *options.more], by, options.where, options.device, trusted)
    if options.csv:
        write_whole(options.csv, found.table.to_csv(index=False).encode(), durable=False)
    if options.svg:
        write_plot(found, options.svg)
    write_page(found, options.output)
    print(told(found))
