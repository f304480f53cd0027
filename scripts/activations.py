"""Show every activation that can be chosen, with its figures and its cost.

    python scripts/activations.py                   the table of all
    python scripts/activations.py relu gelu mish    of some
    python scripts/activations.py --check           beside docs/reference_figures.csv
    python scripts/activations.py --check mine.csv  beside figures of another file
    python scripts/activations.py --docs            write docs/activations.md and its pictures

What gain, chi_1 and s mean: docs/activations.md. Options are the yamls of configs/activation, built
as a run builds them, at their own parameters.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from catalogue.cost import Cost, costs
from catalogue.figures import Figures, figures_of
from catalogue.options import Option, choose, read_options
from catalogue.page import page
from catalogue.picture import picture
from catalogue.reference import check
from catalogue.terminal import show_figures, show_verdicts
from rich.console import Console

from activae.errors import UserError
from activae.results.machine import machine_facts

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference_figures.csv"
IMAGES = "images/activations"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for. Return 1 where a figure differs from the reference."""
    parser = _parser()
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        every = read_options(options.configs)
        if options.check:
            verdicts = check(options.check, every)
            show_verdicts(verdicts, console)
            return int(any(verdict.differences for verdict in verdicts))
        if options.docs and options.names:
            parser.error("--docs writes about all activations: leave the names out")
        chosen = choose(every, options.names)
        figures, times = measure(chosen, options.rounds, console)
    except UserError as error:
        parser.error(str(error))
    if options.docs:
        write_docs(options.docs, chosen, figures, times)
        console.print(f"wrote {options.docs} and {len(figures)} pictures")
        return 0
    left_out = {name: option.missing for name, option in chosen.items() if option.missing}
    show_figures(figures, times, left_out, console)
    return 0


def measure(
    options: Mapping[str, Option], rounds: int, console: Console
) -> tuple[dict[str, Figures], dict[str, Cost]]:
    """Return figures and, unless rounds is 0, costs of what can be built without a user's help."""
    modules = {name: option.make() for name, option in options.items() if not option.missing}
    with console.status("computes figures") as status:
        figures = {name: figures_of(module) for name, module in modules.items()}
        return figures, costs(modules, rounds, status.update) if rounds else {}


def write_docs(
    path: Path,
    options: Mapping[str, Option],
    figures: Mapping[str, Figures],
    times: Mapping[str, Cost],
) -> None:
    """Write the page, and the pictures into the folder beside it."""
    folder = path.parent / IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    for name in figures:
        (folder / f"{name}.svg").write_text(picture(options[name].make(), name), encoding="utf-8")
    facts = machine_facts()
    machine = f"{facts['cpu']}, torch {torch.__version__}"
    path.write_text(page(options, figures, times, machine, IMAGES), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of an option (default: all)")
    parser.add_argument(
        "--check",
        nargs="?",
        type=Path,
        const=REFERENCE,
        metavar="FILE",
        help="compare gain, chi_1 and s with a csv (default: docs/reference_figures.csv), to as "
        "many decimals as it gives; exit code 1 where one differs",
    )
    parser.add_argument(
        "--docs",
        nargs="?",
        type=Path,
        const=ROOT / "docs" / "activations.md",
        metavar="FILE",
        help="write the page about all activations (default: docs/activations.md), and the "
        "pictures into images/activations beside it",
    )
    parser.add_argument(
        "--rounds",
        type=_rounds,
        default=100,
        help="how often each is timed, in turn (default 100; 0: cost is left out)",
    )
    parser.add_argument(
        "--configs",
        type=Path,
        default=ROOT / "configs" / "activation",
        metavar="FOLDER",
        help="where the yamls are (default: configs/activation)",
    )
    return parser


def _rounds(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text}: must be 0 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
