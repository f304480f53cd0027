"""The verbs that go through the network: encode, decode, reconstruct, score."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from activae.cli.verbs.common import Verbs, new_verb, opened, progress, refuse_existing
from activae.errors import UserError

_INPUTS = """\
INPUT is a file or folder of what the run was trained on: .npy, .npz, .csv, .tsv, .parquet, .h5ad,
a picture, or a folder of pictures or texts. Columns of tables are found by their names.
"""
_OUTPUTS = """\
OUTPUT is written by its ending: .npy, .npz, .csv, .parquet, .h5ad, a picture's (.png); without
one it is a folder, with a file for each in the folder INPUT.
"""
_SUMMARIES = {
    "encode": "samples to codes",
    "decode": "codes to samples, in the units of the data",
    "reconstruct": "samples to what the network makes of them",
    "score": "samples to the SE of each: large ones are unlike the training data",
}
_CODES = "INPUT is a file of codes: .npy, .npz, .csv, .parquet, or a folder that encode wrote.\n"


def add(verbs: Verbs) -> None:
    """Make the four verbs known."""
    for name, summary in _SUMMARIES.items():
        description = (_CODES if name == "decode" else _INPUTS) + _OUTPUTS
        parser = new_verb(verbs, name, partial(act, name), summary, description)
        parser.add_argument("input", type=Path, metavar="INPUT")
        parser.add_argument("output", type=Path, metavar="OUTPUT")
        parser.add_argument(
            "--batch-size",
            type=_positive,
            metavar="N",
            help="samples that are in memory at a time (default: some 2 MB of them); the numbers "
            "do not depend on it",
        )
        if name == "reconstruct":
            parser.add_argument(
                "--sheet",
                type=Path,
                metavar="FILE.png",
                help="of images: also a sheet of originals over their reconstructions",
            )


def act(verb: str, options: argparse.Namespace) -> None:
    """Read, go through the network, and write, part by part. Raises UserError."""
    sheet = getattr(options, "sheet", None)
    for path in (options.output, sheet):
        if path is not None:
            refuse_existing(path, options)
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise UserError(f"--sheet={sheet}: a sheet is a PNG; give a name that ends in .png")
    if sheet is not None and sheet.resolve() in (options.input.resolve(), options.output.resolve()):
        raise UserError(f"--sheet={sheet}: is INPUT or OUTPUT too; give another name")
    run = opened(options)
    from activae.use.transforming import check_sheet, transform, write_sheet

    if sheet is not None:
        check_sheet(run, sheet)

    transform(run, verb, options.input, options.output, options.batch_size, partial(progress, verb))
    if sheet is not None:
        write_sheet(run, options.input, sheet)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of 1 or more")
    return number
