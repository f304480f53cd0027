"""Tables and cells in files are read as they are needed: never more rows at once than asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import activae
from activae.data.sources.cell_files import CellsOnDisk
from activae.data.sources.csv_table import CsvTable
from activae.data.sources.tables import _Parquet
from activae.errors import DataError
from activae.use.run import Run
from activae.use.transforming import transform

ROWS, AT_A_TIME = 400, 16
GENES = [f"gene{n}" for n in range(12)]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each read, of whatever reader."""
    found: list[int] = []

    def watch(kind: type, name: str, rows: Callable[[Any], int]) -> None:
        read = getattr(kind, name)

        def counted(self: Any, *arguments: Any) -> Any:
            result = read(self, *arguments)
            found.append(rows(result))
            return result

        monkeypatch.setattr(kind, name, counted)

    for kind in (CsvTable, _Parquet):
        watch(kind, "numbers", len)
        watch(kind, "cells", lambda cells: len(cells.places))
    watch(CellsOnDisk, "__getitem__", len)
    return found


@pytest.fixture(scope="module")
def many(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table that was trained on, five times, with a gap."""
    rows = pd.concat([table] * 5, ignore_index=True)
    rows.loc[ROWS - 3, "age"] = np.nan
    return rows


@pytest.fixture(scope="module")
def numbers_run(trained: Callable[..., Path], home: Path, table: pd.DataFrame) -> Run:
    table[["mass", "age"]].to_csv(home / "numbers.csv", index=False)
    return activae.load(trained("data=array", f"data.path={home / 'numbers.csv'}"))


def written(frame: pd.DataFrame, target: Path) -> Path:
    if target.suffix == ".csv":
        frame.to_csv(target, index=False)
    else:
        frame.to_parquet(target, index=False, row_group_size=70)
    return target


@pytest.mark.parametrize("verb", ["encode", "reconstruct", "score"])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_is_read_part_by_part(
    table_run: Run, many: pd.DataFrame, held: list[int], tmp_path: Path, ending: str, verb: str
) -> None:
    source = written(many, tmp_path / f"rows{ending}")

    transform(table_run, verb, source, tmp_path / "out.csv", AT_A_TIME)

    assert (max(held), sum(held)) == (AT_A_TIME, ROWS)
    found = pd.read_csv(tmp_path / "out.csv")
    wanted = getattr(table_run, verb)(many)
    for name, column in pd.DataFrame(wanted).items():
        same = column.tolist() if name == "city" else pytest.approx(column.to_numpy(), rel=1e-5)
        assert found[name].tolist() == same


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_numbers_are_read_part_by_part(
    numbers_run: Run, many: pd.DataFrame, held: list[int], tmp_path: Path, ending: str
) -> None:
    rows = many[["age", "mass"]].ffill()
    source = written(rows, tmp_path / f"rows{ending}")

    transform(numbers_run, "encode", source, tmp_path / "codes.npy", AT_A_TIME)

    assert (max(held), sum(held)) == (AT_A_TIME, ROWS)
    assert np.array_equal(np.load(tmp_path / "codes.npy"), numbers_run.encode(rows))


def test_pixels_in_a_table_are_read_part_by_part(
    digits: Run, images: np.ndarray, held: list[int], tmp_path: Path
) -> None:
    pixels = pd.DataFrame(images[:ROWS].reshape(ROWS, -1)).add_prefix("pixel")
    source = written(pixels, tmp_path / "images.csv")

    transform(digits, "score", source, tmp_path / "scores.npy", AT_A_TIME)

    assert (max(held), sum(held)) == (AT_A_TIME, ROWS + 1)  # the first row says what it is
    assert np.array_equal(np.load(tmp_path / "scores.npy"), digits.score(images[:ROWS]))


@pytest.fixture(scope="module")
def cells() -> anndata.AnnData:
    counts = np.random.default_rng(1).poisson(3.0, size=(ROWS, 12)).astype(np.float32)
    obs = pd.DataFrame({"lot": [f"lot{n % 3}" for n in range(ROWS)]}).set_axis(
        [f"cell{n}" for n in range(ROWS)]
    )
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES))


@pytest.fixture(scope="module")
def cell_run(trained: Callable[..., Path], home: Path, cells: anndata.AnnData) -> Run:
    cells[:80].copy().write_h5ad(home / "some.h5ad")
    return activae.load(trained("data=h5ad", f"data.path={home / 'some.h5ad'}"))


@pytest.mark.parametrize("kept", [np.asarray, sparse.csr_matrix])
def test_cells_are_read_and_written_part_by_part(
    cell_run: Run,
    cells: anndata.AnnData,
    held: list[int],
    tmp_path: Path,
    kept: Callable[[Any], Any],
) -> None:
    source, target = tmp_path / "cells.h5ad", tmp_path / "again.h5ad"
    anndata.AnnData(kept(cells.X), obs=cells.obs, var=cells.var).write_h5ad(source)

    transform(cell_run, "reconstruct", source, target, AT_A_TIME)

    assert max(held) == AT_A_TIME
    found, wanted = anndata.read_h5ad(target), cell_run.reconstruct(cells)
    assert np.allclose(found.X, wanted.X)
    assert found.obs["lot"].tolist() == cells.obs["lot"].tolist()
    assert list(found.obs_names) == list(cells.obs_names)
    assert list(found.var_names) == list(wanted.var_names)


def test_cells_that_are_kept_by_gene_are_read_too(
    cell_run: Run, cells: anndata.AnnData, tmp_path: Path
) -> None:
    by_gene = anndata.AnnData(sparse.csc_matrix(cells.X), obs=cells.obs, var=cells.var)
    by_gene.write_h5ad(tmp_path / "cells.h5ad")

    assert np.array_equal(cell_run.encode(tmp_path / "cells.h5ad"), cell_run.encode(cells))


def test_cells_on_a_path_between_two_are_named_after_neither(
    cell_run: Run, cells: anndata.AnnData
) -> None:
    path = cell_run.interpolate(cells[:1], cells[1:2], 5)

    assert path.shape == (5, 12)
    assert list(path.obs_names) == ["0", "1", "2", "3", "4"]


def test_words_in_place_of_pixels_are_answered_by_what_the_run_expects(
    digits: Run, table: pd.DataFrame, tmp_path: Path
) -> None:
    source = written(table, tmp_path / "words.csv")

    with pytest.raises(DataError, match=r"column 2 \(city\): 'Oslo'.*expects images") as error:
        digits.encode(source)

    assert "data.source" not in str(error.value)


def test_a_bad_cell_is_named_wherever_it_is(
    table_run: Run, numbers_run: Run, many: pd.DataFrame, tmp_path: Path
) -> None:
    bad = many.astype({"mass": object})
    bad.loc[300, "mass"] = "heavy"
    tables = {
        "words.csv": (table_run, bad, "line 302, column 'mass': 'heavy' is no number"),
        "words.parquet": (
            table_run,
            bad.astype({"mass": str}),
            "row 300, column 'mass': 'heavy' is no number",
        ),
        "numbers.csv": (numbers_run, bad.drop(columns="city").ffill(), "line 302, column 1 .mass."),
        "gap.parquet": (
            numbers_run,
            many[["mass", "age"]].convert_dtypes(),
            "column age: 1 cells are empty, the first in row 397",
        ),
        "infinite.csv": (
            numbers_run,
            many[["mass", "age"]].fillna(np.inf),
            "inf in sample 397",
        ),
    }
    for name, (run, frame, said) in tables.items():
        with pytest.raises(DataError, match=said) as error:
            transform(run, "encode", written(frame, tmp_path / name), tmp_path / "out.npy", 50)
        assert "data.source" not in str(error.value)
        assert not (tmp_path / "out.npy").exists()
