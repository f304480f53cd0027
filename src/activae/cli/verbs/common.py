"""What the verbs of scripts/use.py share: a sub-parser with RUN in it, and opening that run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from activae.errors import UserError

if TYPE_CHECKING:
    from activae.data.module import AutoencoderDataModule
    from activae.use.run import Run

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Act = Callable[[argparse.Namespace], None]


def new_verb(
    verbs: Verbs, name: str, act: Act, summary: str, description: str = ""
) -> argparse.ArgumentParser:
    """The sub-parser of a verb, with RUN, --device, --trusted and --force; it calls `act`."""
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{description}".rstrip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(act=act)
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="a run's folder, or a sweep's: its best run by validation",
    )
    parser.add_argument(
        "--device", default="cpu", metavar="NAME", help="cpu (the default), cuda, cuda:1, mps"
    )
    parser.add_argument(
        "--trusted",
        default="",
        metavar="MODULE[,MODULE]",
        help="modules of your own that the run's config may name; they are imported",
    )
    parser.add_argument("--force", action="store_true", help="overwrite what exists")
    return parser


def opened(options: argparse.Namespace) -> Run:
    """The run that the options name. Raises UserError."""
    from activae.use.loading import load

    trusted = [name for name in map(str.strip, options.trusted.split(",")) if name]
    return load(options.run, options.device, trusted)


def refuse_existing(path: Path, options: argparse.Namespace) -> None:
    """Raise UserError where the output exists and --force is not given, or its folder does not."""
    if path.exists() and not options.force:
        raise UserError(f"{path}: exists already; give another name, or --force to overwrite it")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")


def own_data_of(run: Run) -> AutoencoderDataModule:
    """The run's own data set, for a verb that takes INPUT in its place. Raises UserError."""
    from activae.use.own_data import own_data

    try:
        return own_data(run)
    except UserError as error:
        raise UserError(f"{error}; give INPUT, samples like those it was trained on") from error


def progress(verb: str, done: int, rows: int, noun: str = "samples") -> None:
    """One line on a terminal, which the next overwrites; nothing where output goes to a file."""
    if sys.stderr.isatty():
        end = "\n" if done == rows else ""
        print(f"\r{verb} {done} of {rows} {noun}", end=end, file=sys.stderr, flush=True)
