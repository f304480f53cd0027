"""The verbs compress and decompress: samples to a file whose every bit counts, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

from activae.cli.verbs.common import Verbs, new_verb, opened, refuse_existing
from activae.errors import UserError

ENDING = ".aez"
_COMPRESS = """\
INPUT is as for encode. Without --bits, --psnr or --lossless the file is the smallest with 10 % more
squared error than the run's own reconstruction.
"""
_DECOMPRESS = """\
RUN is the one that compressed. OUTPUT is as for decode: .npy, .csv, a folder for images, ...
"""


def add(verbs: Verbs) -> None:
    """Make the two verbs known."""
    parser = new_verb(verbs, "compress", compress, "samples to an .aez file", _COMPRESS)
    parser.add_argument("input", type=Path, metavar="INPUT")
    parser.add_argument("output", type=Path, metavar="OUTPUT.aez")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument(
        "--bits", type=float, metavar="B", help="bits a sample, at the most; all of the file counts"
    )
    kept.add_argument("--psnr", type=float, metavar="DB", help="PSNR in dB, at the least")
    kept.add_argument(
        "--lossless", action="store_true", help="of 8-bit images: what comes back is exact"
    )
    parser = new_verb(verbs, "decompress", decompress, "an .aez file to samples", _DECOMPRESS)
    parser.add_argument("input", type=Path, metavar="INPUT.aez")
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    parser.add_argument(
        "--lossy",
        action="store_true",
        help="of a file that is lossless: the reconstruction alone",
    )


def compress(options: argparse.Namespace) -> None:
    """Write the file, and print its bits. Raises UserError."""
    output = _named(options.output)
    refuse_existing(output, options)
    run = opened(options)
    from activae.training.files import write_whole
    from activae.use.compression import packing

    packed = packing.compress(
        run, options.input, bits=options.bits, psnr=options.psnr, lossless=options.lossless
    )
    write_whole(output, packed.content)
    print(f"{output}: {packed}")


def _named(output: Path) -> Path:
    """OUTPUT with its ending, which is added where it has none. Raises UserError for another."""
    if output.suffix and output.suffix.lower() != ENDING:
        raise UserError(f"{output}: what is written ends in {ENDING}; give such a name")
    return output if output.suffix else output.with_suffix(ENDING)


def decompress(options: argparse.Namespace) -> None:
    """Write the samples. Raises UserError."""
    refuse_existing(options.output, options)
    run = opened(options)
    from activae.use.compression import packing

    packing.write(run, options.input, options.output, lossy=options.lossy)
