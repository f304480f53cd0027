"""What stands where the folder of a run is expected, and what to give in its place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from activae.config.settling import CONFIG
from activae.errors import ConfigError, DataError

_DEEPEST = 4  # as far below a folder as a day, a sweep and its subfolders reach


def refuse_unless_run(path: str | Path, key: str = "") -> None:
    """Raise an error unless there is a run's config, saying what is there and what to give.

    key: what names the folder, as `init_from=`: a ConfigError then; a DataError without.
    """
    folder, wrong = Path(path), ConfigError if key else DataError
    if (folder / CONFIG).is_file():
        return
    if not folder.exists():
        raise wrong(
            f"{key}{path}: there is no such folder (looked in {Path.cwd()}); give the folder of a "
            "run, which its training named in the line `run`"
        )
    if folder.is_file():
        owner = next((p for p in folder.absolute().parents if (p / CONFIG).is_file()), None)
        given = Path(path).parents
        named = next((p for p in given if owner and p.absolute() == owner), owner)
        advice = f"its run's folder: {key}{named}" if named else "the folder of a run"
        raise wrong(f"{key}{path}: is a file, not the folder of a run; give {advice}")
    runs = list(islice(_runs_below(folder), 2))
    if runs:
        raise wrong(
            f"{key}{path}: is a folder of runs, not that of one; give one of them, such as "
            f"{key}{runs[0]}"
        )
    raise wrong(
        f"{key}{path}: is not the folder of a run: it has no {CONFIG}; give one that a training "
        f"left, and that has {CONFIG} and checkpoints"
    )


def _runs_below(folder: Path, depth: int = 1) -> Iterator[Path]:
    """The folders of runs below one, in the order of their names."""
    for inner in sorted(folder.iterdir()):
        if (inner / CONFIG).is_file():
            yield inner
        elif depth < _DEEPEST and inner.is_dir() and not inner.name.startswith("."):
            yield from _runs_below(inner, depth + 1)
