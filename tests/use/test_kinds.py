"""Tables, texts and cells go through the run's own preparation, and come back as what they were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import activae
from activae.errors import DataError
from activae.use.run import Run

Trained = Callable[..., Path]

GENES = [f"gene{n}" for n in range(12)]
COUNTS = np.random.default_rng(1).poisson(3.0, size=(60, 12)).astype(np.float32)


def cells_of(counts: np.ndarray) -> anndata.AnnData:
    obs = pd.DataFrame(index=[f"cell{n}" for n in range(len(counts))])
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES))


@pytest.fixture(scope="session")
def cell_run(trained: Trained, home: Path) -> Run:
    cells_of(COUNTS).write_h5ad(home / "cells.h5ad")
    return activae.load(
        trained("data=h5ad", f"data.path={home / 'cells.h5ad'}", "data.source.n_top_genes=8")
    )


def test_a_table_comes_back_with_its_columns_its_index_and_words(
    table_run: Run, table: pd.DataFrame
) -> None:
    rows = table.set_index(np.arange(80) * 10)[["age", "city", "mass"]]

    codes, again, scores = (
        table_run.encode(rows),
        table_run.reconstruct(rows),
        table_run.score(rows),
    )

    assert list(again.columns) == ["age", "city", "mass"]
    assert all(each.index.equals(rows.index) for each in (codes, again, scores))
    assert list(codes.columns)[:2] == ["code0", "code1"]
    assert set(again["city"]) <= {"Oslo", "Rome"}
    assert again["mass"].between(20, 120).all()
    assert table_run.encode(rows.iloc[7:8]).equals(codes.iloc[7:8])
    assert table_run.decode(codes)[again.columns].equals(again)


def test_an_array_is_called_so_in_a_file_too(table_run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))

    for given in (tmp_path / "x.npy", np.zeros((3, 2))):
        with pytest.raises(
            DataError, match=r"an array of shape \[3, 2\] was given; .*: mass, age;"
        ):
            table_run.encode(given)


def test_a_table_without_rows_has_no_codes(table_run: Run, table: pd.DataFrame) -> None:
    assert table_run.encode(table[:0]).shape == (0, *table_run.code_shape)


def test_gaps_are_filled_as_in_training(table_run: Run, table: pd.DataFrame) -> None:
    gaps = table.iloc[:3].assign(mass=[None, 60.0, 61.0])
    median = table_run.preparation.imputer.statistics_[0]  # type: ignore[union-attr]
    filled = gaps.assign(mass=[median, 60.0, 61.0])

    assert table_run.encode(gaps).equals(table_run.encode(filled))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mass": "heavy"}, "column mass, row 0 .*'heavy' is no finite number"),
        ({"mass": float("inf")}, "column mass, row 0 .*'inf' is no finite number"),
        ({"city": "Paris"}, "column city: holds Paris; the run expects one of Oslo, Rome"),
    ],
)
def test_a_cell_that_the_run_cannot_know_is_refused(
    change: dict[str, object], said: str, table_run: Run, table: pd.DataFrame
) -> None:
    with pytest.raises(DataError, match=said):
        table_run.encode(table.assign(**change))


def test_missing_and_unknown_columns_are_named(table_run: Run, table: pd.DataFrame) -> None:
    other = table.rename(columns={"mass": "weight"})

    with pytest.raises(DataError, match="lacks mass; has the unknown weight"):
        table_run.encode(other)
    with pytest.raises(
        DataError, match=r"an array of shape .2, 3. was given.*with the columns numbers: mass, age"
    ):
        table_run.encode(np.zeros((2, 3)))


def test_a_table_in_a_file_is_the_table(
    table_run: Run, home: Path, tmp_path: Path, table: pd.DataFrame
) -> None:
    codes = table_run.encode(table)

    assert table_run.encode(home / "table.csv").equals(codes)
    table.to_parquet(tmp_path / "t.parquet", index=False)
    assert table_run.encode(str(tmp_path / "t.parquet")).equals(codes)


def test_numbers_by_name_come_in_any_order(
    trained: Trained, tmp_path: Path, table: pd.DataFrame
) -> None:
    numbers = table[["mass", "age"]].assign(label=1.0)
    numbers.to_csv(tmp_path / "n.csv", index=False)
    run = activae.load(
        trained("data=array", f"data.path={tmp_path / 'n.csv'}", "data.source.label_column=label")
    )

    again = run.reconstruct(numbers[["label", "age", "mass"]])

    assert list(again.columns) == ["age", "mass"]
    assert again[["mass", "age"]].equals(run.reconstruct(numbers[["mass", "age"]]))
    assert np.allclose(again[["mass", "age"]], run.reconstruct(numbers[["mass", "age"]].to_numpy()))
    with pytest.raises(DataError, match=r"column age: holds .*; the run expects numbers"):
        run.encode(numbers.assign(age="old"))
    assert np.isfinite(run.score(numbers)).all()
    with pytest.raises(DataError, match=r"NaN or infinite"):
        run.encode(numbers.assign(age=np.nan))


def test_texts_come_back_as_weights_by_word(text_run: Run, texts: list[str]) -> None:
    codes, weights = text_run.encode(texts), text_run.reconstruct(texts)

    assert codes.shape == (60, *text_run.code_shape)
    assert list(weights.columns) == list(text_run.spec.features or ())
    assert "ship" in weights.columns
    assert np.array_equal(text_run.encode(texts[4]), codes[4])
    series = pd.Series(texts, index=range(100, 160))
    assert text_run.encode(series).index.equals(series.index)
    assert text_run.decode(codes).equals(weights)


def test_texts_without_a_known_word_are_refused_or_told_of(
    text_run: Run, caplog: pytest.LogCaptureFixture, texts: list[str]
) -> None:
    with pytest.raises(DataError, match="none of 1 texts has a word that the run knows"):
        text_run.encode(["lorem ipsum"])
    with pytest.raises(DataError, match=r"text 1 .* is empty"):
        text_run.encode(["a ship", " "])
    with pytest.raises(DataError, match=r"text 1 .* is a int"):
        text_run.encode(["a ship", 3])
    text_run.encode([texts[0], "lorem ipsum"])
    assert "1 of 2 texts hold none of the" in caplog.text


def test_cells_come_back_as_counts_of_genes_by_name(cell_run: Run) -> None:
    cells = cells_of(COUNTS)

    codes, again, scores = (
        cell_run.encode(cells),
        cell_run.reconstruct(cells),
        cell_run.score(cells),
    )

    assert all(list(each.index) == list(cells.obs_names) for each in (codes, scores))
    assert list(again.obs_names) == list(cells.obs_names)
    assert list(again.var_names) == list(cell_run.spec.features or ())
    cells.obsm["code"] = codes  # as scanpy keeps them
    shuffled = cells[:, GENES[::-1]].copy()
    assert cell_run.encode(shuffled).equals(codes)
    assert cell_run.encode(cells[5:6].copy()).equals(codes.iloc[5:6])
    expected = cell_run.from_network(cell_run.network(cell_run.to_network(cells)).detach())
    totals = COUNTS.sum(1, keepdims=True)
    assert np.allclose(again.X, np.expm1(expected.numpy()) * totals / 1e4, rtol=1e-3)


def test_cells_may_be_rows_of_a_table(cell_run: Run) -> None:
    cells = cells_of(COUNTS)

    assert cell_run.encode(cells.to_df()).equals(cell_run.encode(cells))
    assert np.allclose(cell_run.reconstruct(cells.to_df()), cell_run.reconstruct(cells).X)


def test_cells_without_a_gene_of_the_run_are_refused(cell_run: Run) -> None:
    with pytest.raises(DataError, match="lack 1 of the 12 genes"):
        cell_run.encode(cells_of(COUNTS)[:, :-1].copy())


def test_a_run_on_numbers_takes_no_cells(digits: Run) -> None:
    with pytest.raises(DataError, match="an AnnData was given; the run expects images"):
        digits.encode(cells_of(COUNTS))


def test_a_network_that_shares_out_totals_is_told_them(trained: Trained, tmp_path: Path) -> None:
    np.save(tmp_path / "counts.npy", COUNTS)
    run = activae.load(
        trained(
            "data=array",
            f"data.path={tmp_path / 'counts.npy'}",
            "data.normalisation=none",
            "objective=multinomial",
        )
    )
    codes = run.encode(COUNTS)

    assert run.shares_totals
    assert np.allclose(run.decode(codes).sum(1), 1, atol=1e-5)
    again = run.reconstruct(COUNTS)
    assert np.allclose(again.sum(1), COUNTS.sum(1), rtol=1e-5)
    assert np.array_equal(run.decode(codes, COUNTS.sum(1)), again)
    path = run.interpolate(COUNTS[0], COUNTS[1], 3)
    assert np.allclose(
        path.sum(1), torch.lerp(*torch.tensor(COUNTS[:2].sum(1)), torch.tensor([0.0, 0.5, 1.0]))
    )
    with pytest.raises(DataError, match="3 sample_totals were given with 60 codes"):
        run.decode(codes, [1, 2, 3])
