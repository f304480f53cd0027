"""The command line of a finished run: a verb, messages, exit codes."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from activae.cli.end_requests import ended_as_by_ctrl_c, reader_may_leave
from activae.cli.verbs import MODULES
from activae.errors import EXIT_INTERRUPTED, UserError


def main(arguments: Sequence[str] | None, description: str, program: str | None = None) -> int:
    """Do what the arguments ask for; return the exit code: 1 after a mistake the user can mend.

    description and program are what --help says of the command and calls it.
    """
    options = _parser(description, program).parse_args(arguments)
    with ended_as_by_ctrl_c(), _told_on_stderr():
        try:
            with reader_may_leave():
                options.act(options)
        except (UserError, OSError) as error:
            print(f"error: {_told(error)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return EXIT_INTERRUPTED
    return 0


def _told(error: UserError | OSError) -> str:
    """What is wrong; of a file that cannot be read or written, its name and the system's reason."""
    match error:
        case OSError(filename=str(file), strerror=str(reason)):
            return f"{file}: {reason}"
    return str(error)


def _parser(description: str, program: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name in MODULES:
        import_module(f"activae.cli.verbs.{name}").add(verbs)
    return parser


@contextmanager
def _told_on_stderr() -> Iterator[None]:
    """Show what the package logs, such as which run of a sweep was taken."""
    log, handler = logging.getLogger("activae"), logging.StreamHandler(sys.stderr)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
