"""Samples of a run from a file or a folder, by its ending and by what the run was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from activae.data.sources.cell_files import cells_on_disk
from activae.data.sources.cells import Expression, read_h5ad
from activae.data.sources.files import existing_file, files_below
from activae.data.sources.numbers import chosen_columns
from activae.data.sources.numpy_files import map_npy, read_numpy
from activae.data.sources.tables import ENDINGS as TABLES
from activae.data.sources.tabular import ColumnFeatures
from activae.data.sources.texts import WordCounts, read_texts
from activae.errors import DataError
from activae.use.images import ENDINGS as IMAGES

if TYPE_CHECKING:
    from activae.use.given import Given
    from activae.use.run import Run

ARRAYS = (".npy", ".npz")
CELLS = ".h5ad"


def content(run: Run, path: Path) -> Any:
    """What lies at a path, as samples in memory or mapped, or as the paths of pictures.

    Raises DataError where nothing is there, or it is of another kind than the run takes.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file (looked in {Path.cwd()}).")
    if isinstance(run.preparation, WordCounts):
        return _texts(run, path)
    if path.is_dir():
        return _pictures(run, path)
    ending = path.suffix.lower()
    if ending in IMAGES:
        return [path] if ending != ".pgm" or run.spec.is_image else path
    if ending in ARRAYS:
        return _array(existing_file(path, ARRAYS))
    if isinstance(run.preparation, Expression):
        return _cells(run, _ending_in(run, path, (CELLS,)))
    return _table(run, _ending_in(run, path, TABLES))


def _ending_in(run: Run, path: Path, endings: tuple[str, ...]) -> Path:
    """The file, if it may hold what the run takes and is not empty. DataError otherwise."""
    if path.suffix.lower() not in endings:
        from activae.use.given import expectation

        plain = () if run.preparation is not None else ARRAYS
        some = (*plain, *endings, *(IMAGES if run.spec.is_image else ()))
        raise DataError(
            f"{path}: unknown ending '{path.suffix}'; give {', '.join(some)}. The run expects "
            f"{expectation(run)}."
        )
    return existing_file(path, endings)


def _cells(run: Run, file: Path) -> Any:
    from activae.use.given import of_cell_file

    found = cells_on_disk(file, run.config["data"]["source"].get("layer"))
    return read_h5ad(file) if found is None else of_cell_file(run, *found)


def _texts(run: Run, path: Path) -> list[str]:
    source = run.config["data"]["source"]
    if path.is_file() and path.suffix.lower() not in (".txt", ".csv"):
        raise DataError(
            f"{path}: unknown ending '{path.suffix}'; the run expects texts: a folder of .txt "
            "files, a .csv file or a .txt file with one text a line."
        )
    is_csv = path.suffix.lower() == ".csv" and path.is_file()
    column = source.get("text_column") if is_csv else None
    return read_texts(path, column, source.get("encoding") or "utf-8-sig")


def _pictures(run: Run, folder: Path) -> list[Path]:
    from activae.use.given import expectation

    if run.preparation is not None or not run.spec.is_image:
        raise DataError(f"{folder}: is a folder; the run expects {expectation(run)}.")
    files, _ = files_below(folder, IMAGES)
    if not files:
        raise DataError(f"{folder}: holds no picture (a file ending in {', '.join(IMAGES)}).")
    return files


def _array(file: Path) -> Any:
    """An array, that of an `.npy` mapped; a structured one as a DataFrame."""
    if file.suffix.lower() == ".npy":
        mapped = map_npy(file)
        if not mapped.dtype.names:
            return mapped
    found = read_numpy(file, None)
    if found.features is None:
        return found.train
    import pandas as pd

    return pd.DataFrame(found.train, columns=list(found.features))


def _table(run: Run, file: Path) -> Given:
    """The rows of a table, read as they are asked for."""
    from activae.use.given import expectation, of_numbers, of_table

    own_file = run.config["data"]["source"]["_target_"] == "activae.data.array"
    if own_file or isinstance(run.preparation, ColumnFeatures):
        return of_table(run, run.restored.table(file))
    try:
        return of_numbers(run, chosen_columns(file, None, has_settings=False))
    except DataError as error:
        if "the run expects" in str(error):
            raise
        raise DataError(f"{error} The run expects {expectation(run)}.") from error
