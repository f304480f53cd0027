"""The verb that writes a run's network for others: export."""

from __future__ import annotations

import argparse
from pathlib import Path

from activae.cli.verbs.common import Verbs, new_verb, opened, refuse_existing
from activae.errors import ConfigError

_DESCRIPTION = """\
OUTPUT.onnx    ONNX, one file, for any runtime (pip install 'activae[onnx]')
OUTPUT.pt2     torch.export: torch.export.load(FILE).module()(samples), without activae
OUTPUT         a folder to pass on: weights as safetensors, config, a model card (README.md);
               activae.load(FOLDER) opens it (pip install 'activae[share]')

The two files take samples in the units of the data and give them back in these: normalisation is
inside. Of tables, texts and cells they take the numbers that the run's preparation makes of them.
Any batch size will do. A file is checked against the run before it is written, to 1e-5.
"""
_FORMATS = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ""}


def add(verbs: Verbs) -> None:
    """Make the verb known."""
    summary = "the network for other programs, or a folder to share"
    parser = new_verb(verbs, "export", act, summary, _DESCRIPTION)
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    parser.add_argument(
        "--format", choices=list(_FORMATS), help="what to write (default: by OUTPUT's ending)"
    )
    parser.add_argument(
        "--part", choices=["encoder", "decoder"], help="only this half, as .onnx or .pt2"
    )
    parser.add_argument(
        "--licence",
        default=None,
        metavar="NAME",
        help="of a folder: the licence that its card names, such as mit or cc-by-4.0",
    )
    parser.add_argument(
        "--samples",
        type=Path,
        metavar="FILE",
        help="of a folder: images to picture in its card (default: those that TensorBoard shows)",
    )


def act(options: argparse.Namespace) -> None:
    """Write what was asked for, and say what it holds. Raises UserError."""
    kind = format_of(options.output, options.format)
    if options.part and kind == "safetensors":
        raise ConfigError(
            f"--part={options.part}: a folder holds both halves; give OUTPUT as .onnx or .pt2"
        )
    for name in ("licence", "samples"):
        if getattr(options, name) is not None and kind != "safetensors":
            raise ConfigError(f"--{name}: belongs into a folder's card, and OUTPUT is {kind}")
    refuse_existing(options.output, options)
    run = opened(options)
    part = options.part or "whole"
    if kind == "safetensors":
        from activae.use.publishing import publish

        publish(run, options.output, options.licence, options.samples)
        print(f"{options.output}: open it by activae.load({str(options.output)!r})")
        return
    from activae.use.exporting import write_onnx, write_torch

    write = write_onnx if kind == "onnx" else write_torch
    deviation = write(run, options.output, part)
    print(f"{options.output}: {part}, differs from the run by {deviation:.1g} at most")


def format_of(output: Path, asked: str | None) -> str:
    """onnx, torch or safetensors, by the ending and what was asked for.

    Raises ConfigError where the two disagree, or the ending is not known.
    """
    ending = output.suffix.lower()
    by_ending = {suffix: name for name, suffix in _FORMATS.items()}
    found = by_ending.get(ending) or ("safetensors" if output.is_dir() else None)
    if asked is None and found is not None:
        return found
    if asked is None:
        raise ConfigError(
            f"{output}: unknown ending '{ending}'; give .onnx, .pt2, none for a folder, or --format"
        )
    if found not in (None, asked) and ending:
        raise ConfigError(f"{output}: is a name of format {found}, and --format={asked} was given")
    return asked
