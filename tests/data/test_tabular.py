"""Tables of mixed columns: how columns are told apart and what becomes of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from activae.data import tabular
from activae.data.source import Source
from activae.data.sources.tabular import ColumnFeatures, Columns
from activae.errors import ConfigError, DataError

TABLE = """age,city,income,code
20,Oslo,100.5,1
,Rome,200,2
40,Oslo,NaN,1
60,?,400,2
80,Lima,500,1
40,Rome,600,2
"""


def write(folder: Path, content: str = TABLE, name: str = "mine.csv") -> Path:
    (folder / name).write_text(content)
    return folder / name


def prepared(path: Path, places: list[int] | None = None, **settings: Any) -> Source:
    return tabular(path, **settings).prepared(torch.tensor(places or list(range(6))))


def column(source: Source, name: str) -> list[float]:
    assert source.preparation is not None
    return source.train[:, source.preparation.features.index(name)].tolist()


def test_numbers_are_standardised_and_gaps_filled_with_the_median(tmp_path: Path) -> None:
    source = prepared(write(tmp_path))

    filled = np.array([20, 40, 40, 60, 80, 40])
    expected = (filled - filled.mean()) / filled.std()
    np.testing.assert_allclose(column(source, "age"), expected, rtol=1e-6)
    assert source.train.dtype == torch.float32


def test_categories_become_a_feature_each(tmp_path: Path) -> None:
    source = prepared(write(tmp_path))

    assert source.preparation is not None
    assert source.preparation.features == [
        *("age", "income", "code"),
        *("city=(missing)", "city=Lima", "city=Oslo", "city=Rome"),
    ]
    assert column(source, "city=Oslo") == [1, 0, 1, 0, 0, 0]
    assert column(source, "city=(missing)") == [0, 0, 0, 1, 0, 0]


def test_types_columns_and_labels_are_chosen_by_name(tmp_path: Path) -> None:
    found = tabular(write(tmp_path), categorical=["code"], drop=["income"], label_column="city")
    source = found.prepared(torch.arange(6))

    assert source.preparation is not None
    assert source.preparation.features == ["age", "code=1", "code=2"]
    assert source.class_names == ("(missing)", "Lima", "Oslo", "Rome")


def test_only_the_training_rows_are_learnt_from(tmp_path: Path) -> None:
    source = prepared(write(tmp_path), [0, 1, 2], drop=["income", "code"])

    # Of 20, a gap and 40 the median is 30; Lima and the gap were not seen.
    deviation = math.sqrt(200 / 3)
    np.testing.assert_allclose(column(source, "age")[:2], [-10 / deviation, 0], atol=1e-6)
    assert source.preparation is not None
    assert source.preparation.features == ["age", "city=Oslo", "city=Rome"]
    assert source.train[3, 1:].tolist() == [0, 0]


def test_rare_and_unseen_categories_share_a_feature(tmp_path: Path) -> None:
    source = prepared(write(tmp_path), [0, 1, 2, 3, 5], min_frequency=0.4)

    assert column(source, "city=(other)") == [0, 0, 0, 1, 1, 0]


def test_numbers_alone_and_categories_alone(tmp_path: Path) -> None:
    numbers = prepared(write(tmp_path), drop=["city"])
    categories = prepared(write(tmp_path), drop=["age", "income", "code"])

    assert numbers.sample_shape == (3,)
    assert categories.sample_shape == (4,)
    for source in (numbers, categories):
        assert isinstance(source.preparation, ColumnFeatures)
        again = ColumnFeatures.from_state(source.preparation.state())
        assert again.inverse_transform(source.train[:2]).numeric_names == (
            source.preparation.numeric
        )


def test_what_comes_out_can_be_turned_back(tmp_path: Path) -> None:
    source = prepared(write(tmp_path))
    assert isinstance(source.preparation, ColumnFeatures)

    back = source.preparation.inverse_transform(source.train + 0.1)

    assert back.categorical_names == ["city"]
    assert back.categorical[:, 0].tolist() == ["Oslo", "Rome", "Oslo", "(missing)", "Lima", "Rome"]
    exact = source.preparation.inverse_transform(source.train)
    np.testing.assert_allclose(exact.numeric[:, 0], [20, 40, 40, 60, 80, 40], rtol=1e-6)
    nothing = source.preparation.inverse_transform(torch.zeros(1, 7))
    assert nothing.categorical.tolist() == [[None]]


def test_what_is_stored_makes_the_same_numbers_of_new_rows(tmp_path: Path) -> None:
    found = tabular(write(tmp_path), min_frequency=0.3)
    first = found.preparation()
    first.fit(found.train)

    again = ColumnFeatures.from_state(first.state())

    new = Columns(
        ["age", "income", "code"], np.array([[math.nan, 7, 1]]), ["city"], np.array([["Bonn"]])
    )
    for rows in (found.train, new):
        assert again.transform(rows).equal(first.transform(rows))
    assert again.state() == first.state()


def test_rows_of_another_table_are_refused(tmp_path: Path) -> None:
    source = prepared(write(tmp_path))
    assert source.preparation is not None
    other = tabular(write(tmp_path), drop=["age"]).train

    with pytest.raises(DataError, match=r"other columns than .*lacks age"):
        source.preparation.transform(other)


def test_parquet_is_the_same_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = {
        "age": [20, None, 40, 60, 80, 40],
        "city": ["Oslo", "Rome", "Oslo", None, "Lima", "Rome"],
        "income": [100.5, 200, math.nan, 400, 500, 600],
        "code": [1, 2, 1, 2, 1, 2],
    }
    parquet.write_table(pyarrow.table(table), tmp_path / "mine.parquet")

    found, expected = prepared(tmp_path / "mine.parquet"), prepared(write(tmp_path))

    assert found.train.equal(expected.train)
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        tabular(tmp_path / "broken.parquet")


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        (TABLE, {"drop": ["town"]}, r"data\.source\.drop=town: .*no such column\. .*age, city"),
        (TABLE, {"label_column": "x"}, r"data\.source\.label_column=x"),
        (TABLE, {"drop": ["age"], "numeric": ["age"]}, r"drop=age: .* in data\.source\.numeric"),
        (TABLE, {"min_frequency": 1.0}, r"data\.source\.min_frequency=1\.0"),
        (TABLE, {"drop": ["age", "city", "income", "code"]}, "no column is left"),
        (TABLE, {"numeric": ["city"]}, r"line 2, column 'city': 'Oslo' is no number.*numeric"),
        ("n,m\n" + "1,1\n" * 19 + "x,1\n", {}, r"line 21, column 'n'.*19 of 20.*categorical=\[n\]"),
        ("n,m\n1,2\n1\n", {}, "line 3: 1 columns"),
    ],
)
def test_tables_and_settings_that_cannot_work(
    content: str, settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises((ConfigError, DataError), match=said):
        tabular(write(tmp_path, content), **settings)


def test_columns_of_no_use_are_named(tmp_path: Path) -> None:
    names = "\n".join(f"{n},person {n}," for n in range(200))
    file = write(tmp_path, f"age,name,gap\n{names}\n")

    with pytest.raises(DataError, match=r"'gap' has no value .*data\.source\.drop=\[gap\]"):
        prepared(file, list(range(150)))
    with pytest.raises(DataError, match=r"'name' has 150 categories .*data\.source\.drop=\[name\]"):
        prepared(file, list(range(150)), drop=["gap"])


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        tabular(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"unknown ending '\.xlsx'.*\.csv, .*\.parquet"):
        tabular(write(tmp_path, name="mine.xlsx"))


def of_cells(folder: Path, cells: list[str], header: str = "a;p") -> Path:
    """A table with numbers in column a and these cells in column p, separated by semicolons."""
    file = folder / "mine.csv"
    rows = [f"{number % 7}.5;{cell}" for number, cell in enumerate(cells)]
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


@pytest.mark.parametrize(
    ("cell", "how"),
    [
        ("{}.5".replace(".", ","), "a decimal comma"),
        ("0,{}00", "a decimal comma.*read_csv.'mine.csv', sep=';', decimal=','."),
        ("{},000", "a thousands separator"),
        ("{},000,000.25", "a thousands separator"),
        ("{} %", "a percent sign"),
        ("{}.5%", "a percent sign"),
        ("${}.00", "a currency sign"),
        ("{} €", "a currency sign"),
    ],
)
def test_numbers_written_otherwise_are_no_categories(cell: str, how: str, tmp_path: Path) -> None:
    file = of_cells(tmp_path, [cell.format(number % 40 + 1) for number in range(100)])

    with pytest.raises(DataError, match=rf"line 2, column 'p': .*{how}.*categorical=\[p\]"):
        tabular(file)

    assert tabular(file, categorical=["p"]).train.categorical_names == ["p"]


@pytest.mark.parametrize("mark", ["-", "#N/A", "<NA>", ".", "--"])
def test_marks_of_gaps_among_numbers_are_gaps(mark: str, tmp_path: Path) -> None:
    cells = [mark if number % 5 == 0 else str(number) for number in range(100)]

    rows = tabular(of_cells(tmp_path, cells)).train

    assert rows.numeric_names == ["a", "p"]
    assert np.isnan(rows.numeric[::5, 1]).all()
    assert rows.numeric[1, 1] == 1


@pytest.mark.parametrize("mark", ["inf", "n. d.", "missing"])
def test_one_word_among_many_numbers_is_refused(mark: str, tmp_path: Path) -> None:
    cells = [mark if number % 5 == 0 else str(number) for number in range(100)]

    with pytest.raises(
        DataError, match=f"line 2, column 'p': '{mark}' is no finite number, and 80"
    ):
        tabular(of_cells(tmp_path, cells))


def test_words_that_mark_gaps_among_numbers_are_words_among_words(tmp_path: Path) -> None:
    rows = tabular(of_cells(tmp_path, ["+", "-"] * 20)).train

    assert set(rows.categorical[:, 0]) == {"+", "-"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (",a,b\n0,1,x\n1,2,y\n", "first column has no name"),
        ("Unnamed: 0,a,b\n0,1,x\n1,2,y\n", "Unnamed: 0: is probably a row index"),
        ("a,b,\n1,x,\n2,y,\n", "column 3 has no name"),
        ("0.5,1.5\n2,3\n4,5\n", r"first line holds numbers \(0\.5, 1\.5\)"),
    ],
)
def test_columns_without_names_of_their_own_are_refused(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        tabular(tmp_path / "mine.csv")


def test_what_a_parquet_file_holds_as_text_or_categories_stays_so(tmp_path: Path) -> None:
    import pandas as pd

    table = pd.DataFrame(
        {
            "a": np.linspace(0, 1, 90),
            "zip": ["01067", "1067", "10670"] * 30,
            "site": pd.Categorical([1, 2, 9] * 30),
        }
    )
    table.to_parquet(tmp_path / "mine.parquet", index=False)
    table[table.a > 0.5].to_parquet(tmp_path / "index.parquet")

    rows = tabular(tmp_path / "mine.parquet").train

    assert (rows.numeric_names, rows.categorical_names) == (["a"], ["zip", "site"])
    with pytest.raises(DataError, match="__index_level_0__: is probably a row index"):
        tabular(tmp_path / "index.parquet")
    assert tabular(tmp_path / "index.parquet", drop=["__index_level_0__"]).train


def test_it_says_what_became_of_the_columns_and_what_it_guessed(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "a|zip|target\n" + "".join(f"{i % 7}|00{i % 9}|{'xy'[i % 2]}\n" for i in range(60))
    )

    note = tabular(file).note

    assert "Columns read as numbers: a, zip; categories: target." in note
    assert "data.source.categorical=[zip] keeps them as codes" in note
    assert "data.source.label_column=target" in note
    assert tabular(file, label_column="target", drop=["a"], categorical=["zip"]).note == (
        "Columns read as categories: zip; labels, not trained on: target; left out: a."
    )


@pytest.mark.parametrize(
    ("name", "cells", "noted"),
    [
        ("id", range(1, 41), True),
        ("PassengerID", [n * 7 % 41 for n in range(1, 41)], True),
        ("Unnumbered", range(40), True),
        ("id", [1, 2] * 20, False),
        ("age", [n * 7 % 41 for n in range(1, 41)], False),
        ("id", [n / 3 for n in range(40)], False),
    ],
)
def test_numbers_of_rows_are_noted(
    name: str, cells: list[float], noted: bool, tmp_path: Path
) -> None:
    file = of_cells(tmp_path, list(map(str, cells)), header=f"a;{name}")

    note = tabular(file).note

    assert (f"{name} seems to number the rows" in note) is noted
    assert "number the rows" not in tabular(file, drop=[name]).note


@pytest.mark.parametrize(
    ("cell", "how"),
    [
        ("({})", "brackets for a minus sign"),
        ("($1,0{})", "brackets for a minus sign"),
        ("\u2013{}", "a dash for a minus sign"),
        ("{}-", "a dash for a minus sign"),
        ("-${}", "a currency sign"),
        ("{} 000", "a thousands separator"),
        ("{}\xa0000,50", "a thousands separator"),
        ("{}'000", "a thousands separator"),
        ("{} kg", "a unit"),
        ("1.{}00,5", "a thousands separator"),
    ],
)
def test_signs_and_separators_of_other_countries_are_no_categories(
    cell: str, how: str, tmp_path: Path
) -> None:
    share = 100 if how == "a unit" else 3
    cells = [cell.format(n % 9 + 1) if n % share else str(n) for n in range(1, 100)]

    with pytest.raises(DataError, match=rf"line 2, column 'p': .*{how}.*categorical=\[p\]"):
        tabular(of_cells(tmp_path, cells))


def test_the_minus_sign_of_unicode_is_one(tmp_path: Path) -> None:
    rows = tabular(of_cells(tmp_path, ["\u22121.5", "2", "\u2212"] * 10)).train

    assert rows.numeric_names == ["a", "p"]
    np.testing.assert_array_equal(rows.numeric[:3, 1], [-1.5, 2, math.nan])


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_word_in_most_cells_beside_varied_numbers_is_refused(
    share: float, tmp_path: Path
) -> None:
    cells = ["n. d." if n < share * 100 else f"{n * 1.37:.2f}" for n in range(100)]

    with pytest.raises(DataError, match=r"column 'p': 'n\. d\.' is no finite number"):
        tabular(of_cells(tmp_path, cells))
    assert tabular(of_cells(tmp_path, ["A", "1", "A", "2"] * 20)).train.categorical_names == ["p"]


def test_a_table_separated_by_blanks_is_read_as_meant(tmp_path: Path) -> None:
    rows = tabular(write(tmp_path, "size kind\n1.5 x\n2 y\n", "mine.txt")).train

    assert (rows.numeric_names, rows.categorical_names) == (["size"], ["kind"])


@pytest.mark.parametrize("cell", ["007", "1e5", "12E3"])
def test_cells_that_may_be_codes_are_shown(cell: str, tmp_path: Path) -> None:
    file = of_cells(tmp_path, ["7", cell, "2.5"] * 5)

    assert f"Cells such as {cell} are numbers in p" in tabular(file).note
    assert "Cells such as" not in tabular(file, numeric=["p"]).note
    assert "Cells such as" not in tabular(of_cells(tmp_path, ["7", "1e-5", "1.5e+05"] * 5)).note


def test_columns_that_are_nearly_all_gaps_are_noted(tmp_path: Path) -> None:
    text = "a,rare,word,half\n" + "".join(
        f"{n % 7}.5,{'' if n else 3},{'' if n else 'x'},{'' if n % 2 else 1}\n" for n in range(60)
    )

    note = tabular(write(tmp_path, text)).note

    assert "of the cells are gaps in rare, word; data.source.drop=[rare,word] leaves them" in note
