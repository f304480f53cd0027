"""Tables of numbers, CSV or Parquet: headers, labels, columns, and the cell that is no number."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from activae.data import array
from activae.data.sources.numbers import read_numbers
from activae.errors import ConfigError, DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


@pytest.mark.parametrize(
    "text",
    [
        "1,2.5\n3,-4e1\n",
        "a,b\n1,2.5\n3,-4e1\n",
        "\n\na, b\n1, 2.5\n3, -4e1",
        '"a","b"\n"1","2.5"\n"3","-4e1"\n',
        "a;b\n1;2.5\n3;-4e1\n",
        "a\tb\n1\t2.5\n3\t-4e1\n",
        "a,b\r\n1,2.5\r\n\r\n3,-4e1\r\n",
        "\ufeffa,b\n1,2.5\n3,-4e1\n",
        "\n\n1,2.5\n\n3,-4e1\n",
        "0,1\n1,2.5\n3,-4e1\n",
    ],
    ids=["bare", "header", "blank", "quotes", ";", "tab", "crlf", "bom", "gaps", "counted"],
)
def test_a_table_is_read_however_it_was_written(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    values, labels, _ = read_numbers(path, None)
    assert values.tolist() == [[1, 2.5], [3, -40]]
    assert labels is None


@pytest.mark.parametrize("label_column", ["kind", 1, -2])
def test_labels_are_taken_out_by_name_or_by_index(path: Path, label_column: str | int) -> None:
    path.write_text("a,kind,b\n1,cat,2\n3,big dog,4\n")
    values, labels, _ = read_numbers(path, label_column)
    assert values.tolist() == [[1, 2], [3, 4]]
    assert labels is not None
    assert labels.tolist() == ["cat", "big dog"]


def test_text_labels_in_the_first_line_do_not_make_it_a_header(path: Path) -> None:
    path.write_text("1,cat\n2,dog\n")
    values, labels, _ = read_numbers(path, -1)
    assert values.tolist() == [[1], [2]]
    assert labels is not None
    assert labels.tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,x\n", r"line 3, column 2 \(b\): 'x' is not a number"),
        ("1,2\n\n3,\n", r"line 3, column 2: the cell is empty"),
        ("1,2\n3,1_0\n", r"line 2, column 2: '1_0' is not a number"),
        ("a,b\n1,2\n3\n", r"line 3: 1 columns, but the first line has 2"),
        ("1,2\n3,4,5\n", r"line 2: 3 columns, but the first line has 2"),
        ("a;b\n1,5;2\n", r"line 2, column 1 \(a\): '1,5' is not a number"),
        ("a,b\n", "a header but no samples"),
        ("\n \n", "is empty"),
        (",a,b\n0,1,2\n1,3,4\n", r"probably a row index.*to_csv\(path, index=False\)"),
    ],
)
def test_what_is_not_a_table_of_numbers_is_located(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=rf"table\.csv.*{message}"):
        read_numbers(path, None)


def test_ragged_rows_are_found_beside_labels_too(path: Path) -> None:
    path.write_text("a,kind\n1,cat\n2,dog,3\n")
    with pytest.raises(DataError, match="line 3: 3 columns"):
        read_numbers(path, "kind")


@pytest.mark.parametrize("head", [b"caf\xe9,b\n1,2\n", b"1,2\n" * 5000 + b"\xe9,2\n"])
def test_a_file_in_another_encoding_is_an_error(path: Path, head: bytes) -> None:
    path.write_bytes(head)
    with pytest.raises(DataError, match=r"table\.csv is not text in UTF-8"):
        read_numbers(path, None)


def test_a_single_endless_field_is_an_error(path: Path) -> None:
    path.write_text("1" + "x" * 200_000 + "\n")
    with pytest.raises(DataError, match=r"table\.csv is not a table of numbers"):
        read_numbers(path, None)


@pytest.mark.parametrize(
    ("label_column", "message"),
    [
        ("species", r"label_column=species: .* It has a, b"),
        (2, r"label_column=2: .* has 2 columns"),
        (-3, r"label_column=-3: .* has 2 columns"),
    ],
)
def test_a_label_column_that_is_not_there_is_an_error(
    path: Path, label_column: str | int, message: str
) -> None:
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match=message):
        read_numbers(path, label_column)


def test_labels_alone_are_nothing_to_train_on(path: Path) -> None:
    path.write_text("kind\n1\n2\n")
    with pytest.raises(DataError, match="nothing to train on"):
        read_numbers(path, "kind")


def test_a_gap_written_as_nan_is_found_by_the_source(path: Path) -> None:
    path.write_text("a,b\n1,2\n3,nan\n")
    with pytest.raises(DataError, match=r"1 of 4 training values are NaN .* sample 1 .* \[1\]"):
        array(path)


def test_a_csv_file_becomes_a_labelled_source(path: Path) -> None:
    table = np.arange(12.0).reshape(4, 3)
    rows = [f"{a},{b},{c},{kind}" for (a, b, c), kind in zip(table, "yxyx", strict=True)]
    path.write_text("\n".join(["a,b,c,kind", *rows]))
    source = array(path, label_column="kind")
    assert np.array_equal(source.train.numpy(), table)
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [1, 0, 1, 0]
    assert source.class_names == ("x", "y")


Save = Callable[..., Path]
TABLE = {
    "height": [1.5, 2.5, 3.5, 4.5],
    "width": [1, 2, 3, 4],
    "kind": ["dog", "cat", "dog", "emu"],
    "is_old": [True, False, True, True],
}


@pytest.fixture(params=["parquet", "csv", "npy"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same table in each of the formats that name their columns; the array lacks the text."""
    file = tmp_path / f"mine.{request.param}"
    if request.param == "parquet":
        parquet.write_table(pyarrow.table(TABLE), file)
    elif request.param == "csv":
        columns = {**TABLE, "is_old": [int(value) for value in TABLE["is_old"]]}
        rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        file.write_text("\n".join([",".join(TABLE), *rows]))
    else:
        fields = [("height", "f8"), ("width", "i8"), ("is_old", "?")]
        columns = [TABLE[name] for name, _ in fields]
        np.save(file, np.array(list(zip(*columns, strict=True)), dtype=fields))
    return file


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(**columns: Any) -> Path:
        parquet.write_table(pyarrow.table(columns), tmp_path / "mine.parquet")
        return tmp_path / "mine.parquet"

    return saved


def test_columns_are_taken_in_the_order_named(table: Path) -> None:
    source = array(table, columns=["width", "is_old", "height"])

    assert source.train.tolist() == [[1, 1, 1.5], [2, 0, 2.5], [3, 1, 3.5], [4, 1, 4.5]]


def test_a_column_that_is_not_there_lists_those_that_are(table: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        array(table, columns=["width", "heigth"])

    message = str(caught.value)
    assert "data.source.columns: heigth" in message
    assert "Did you mean height?" in message
    assert "It has height, width" in message


@pytest.mark.parametrize(
    ("columns", "message"), [(["width", "width"], "width: name it once"), ([], "name some")]
)
def test_columns_are_named_once(table: Path, columns: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.source\.columns.*{message}"):
        array(table, columns=columns)


@pytest.mark.parametrize("label_column", ["kind", 2, -2])
@pytest.mark.parametrize("table", ["parquet", "csv"], indirect=True)
@pytest.mark.parametrize("columns", [None, ["height", "width", "is_old"]])
def test_a_label_column_is_none_of_the_features(
    table: Path, label_column: str | int, columns: list[str] | None
) -> None:
    source = array(table, columns=columns, label_column=label_column)

    assert source.train.tolist()[1] == [2.5, 2, 0]
    assert source.class_names == ("cat", "dog", "emu")
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [1, 0, 1, 2]


@pytest.mark.parametrize("table", ["parquet", "csv"], indirect=True)
def test_labels_among_the_columns_are_refused(table: Path) -> None:
    with pytest.raises(ConfigError, match=r"columns: kind: holds the labels"):
        array(table, columns=["height", "kind"], label_column="kind")
    with pytest.raises(ConfigError, match=r"label_column=kin: .* Did you mean kind\? It has"):
        array(table, label_column="kin")


@pytest.mark.parametrize("table", ["parquet"], indirect=True)
def test_a_column_of_text_is_named(table: Path) -> None:
    with pytest.raises(DataError, match=r"column kind: holds string, not numbers.*columns=\["):
        array(table)


def test_an_empty_cell_is_named(save: Save) -> None:
    with pytest.raises(DataError, match=r"column b: 1 cells are empty, the first in row 2"):
        array(save(a=[1.0, 2.0, 3.0], b=[1.0, 2.0, None]))


def test_pandas_row_index_is_no_feature(save: Save) -> None:
    with pytest.raises(DataError, match=r"__index_level_0__: is probably a row index"):
        array(save(a=[1.0, 2.0, 3.0], __index_level_0__=[0, 2, 3]))
    source = array(save(a=[1.0, 2.0, 3.0], __index_level_0__=[0, 2, 3]), columns=["a"])
    assert source.sample_shape == (1,)


def test_a_table_without_rows_is_an_error(save: Save) -> None:
    with pytest.raises(DataError, match="has no samples: 0 rows"):
        array(save(a=pyarrow.array([], pyarrow.float32())))


def test_a_damaged_file_is_an_error(save: Save) -> None:
    file = save(a=[1.0, 2.0])
    file.write_bytes(file.read_bytes()[:-8])

    with pytest.raises(DataError, match=r"mine\.parquet is no Parquet file, or is damaged"):
        array(file)


def test_without_pyarrow_it_says_what_to_install(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(a=[1.0, 2.0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(ConfigError, match=r"needs pyarrow: pip install 'activae\[parquet\]'"):
        array(file)


def test_a_plain_array_has_no_named_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.ones((3, 2)))
    np.savez(tmp_path / "mine.npz", np.ones((3, 2)))

    for ending in ("npy", "npz"):
        with pytest.raises(ConfigError, match=r"columns=\[a\]: the columns of .* have no names"):
            array(tmp_path / f"mine.{ending}", columns=["a"])


@pytest.mark.parametrize(
    ("values", "value_range", "warns"),
    [
        ([[0.0, 128.0], [255.0, 3.0]], None, True),
        ([[0, 128], [255, 3]], None, True),
        ([[0.0, 128.0], [255.0, 3.0]], [0, 255], False),
        ([[0.0, 128.5], [255.0, 3.0]], None, False),
        ([[0.0, 12.0], [16.0, 3.0]], None, False),
        ([[-1.0, 128.0], [255.0, 3.0]], None, False),
        ([[0.0, 128.0], [300.0, 3.0]], None, False),
    ],
)
def test_bytes_that_were_saved_as_another_type_are_noticed(
    tmp_path: Path, values: list[list[float]], value_range: list[float] | None, warns: bool
) -> None:
    np.save(tmp_path / "mine.npy", np.array(values))

    note = array(tmp_path / "mine.npy", value_range=value_range).note

    assert ("declare data.value_range=[0,255]" in note) is warns
    np.save(tmp_path / "mine.npy", np.array(values, dtype="f4").clip(0, 255).astype(np.uint8))
    assert array(tmp_path / "mine.npy").note == ""


@pytest.mark.parametrize(
    "text",
    [
        "1 2.5\n3 -4e1\n",
        "a b\n1 2.5\n3 -4e1\n",
        "  1.0    2.5 \n  3.0  -40.0\n",
        "# a b\n1.000e+00 2.500e+00\n3.000e+00 -4.000e+01\n",
        '"a" "b"\n1 2.5\n3 -4e1\n',
        "a,b\n1,2.5\n3,\u22124e1\n",
        "sep=;\na;b\n1;2.5\n3;-4e1\n",
    ],
    ids=["blanks", "header", "aligned", "numpy", "R", "minus of Unicode", "Excel"],
)
@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
def test_tables_of_other_programs_are_read_as_meant(text: str, ending: str, tmp_path: Path) -> None:
    (tmp_path / f"mine.{ending}").write_text(text)
    assert array(tmp_path / f"mine.{ending}").train.tolist() == [[1, 2.5], [3, -40]]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("a\tb\n1\t2\t3\n2\t4\t5\n", "names or numbers of rows, .*row.names=FALSE"),
        ('"a" "b"\n"1" 2 3\n"2" 4 5\n', "names or numbers of rows, .*row.names=FALSE"),
        ("a,b\n1,2,\n3,4,\n", "Remove the separators that end the lines"),
        ("spectra of May\n1,2,3\n4,5,9\n", r"\(spectra of May\)\. If that is a title .* remove it"),
        ("a,b,c\n1,2,3\n1\n", "Give each line as many cells"),
    ],
    ids=["R, tabs", "R, blanks", "trailing", "title", "short"],
)
def test_lines_of_another_length_than_the_first_come_with_a_remedy(
    text: str, remedy: str, path: Path
) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=rf"line \d: \d columns, but the first line has .*{remedy}"):
        array(path)


@pytest.mark.parametrize(
    "text", ["1,2\n5.5,1\n8,8\n", "0\n0.25\n1\n", "1\n2.5\n3\n"], ids=["two", "from 0", "from 1"]
)
def test_counts_above_fractions_may_be_names_of_columns(text: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(DataError, match=r"line 1: .* may be a sample or the names"):
        array(path)


@pytest.mark.parametrize("first", ["1,2,3", "400,402.5,405", "2,4,6,x"])
def test_numbers_that_may_be_names_of_columns_are_refused(first: str, path: Path) -> None:
    labels = -1 if first.endswith("x") else None
    path.write_text(f"{first}\n5,1,7{',x' * bool(labels)}\n8,8,1{',y' * bool(labels)}\n")

    with pytest.raises(DataError, match=r"table\.csv, line 1: .*add a line of names.*columns="):
        array(path, label_column=labels)


@pytest.mark.parametrize("text", ["1,2\n5,1\n", "1,2,3\n4,5,6\n", "1,2,4\n4,5,7\n", "1\n3\n"])
def test_numbers_that_are_like_the_next_line_are_a_sample(text: str, path: Path) -> None:
    path.write_text(text)
    assert len(array(path).train) == 2


def test_the_key_says_that_numbers_are_names(path: Path) -> None:
    path.write_text("1,2,3\n5,1,7\n8,8,1\n")
    source = array(path, columns=["1", "2", "3"])
    assert source.train.tolist() == [[5, 1, 7], [8, 8, 1]]
    assert source.features == ("1", "2", "3")


def test_double_names_are_refused_unless_they_are_not_used(path: Path) -> None:
    path.write_text("a,b,a\n1,2,3\n4,5,9\n")
    with pytest.raises(DataError, match=r"columns 1 and 3 are both named 'a'"):
        array(path)
    with pytest.raises(DataError, match=r"columns 1 and 3 are both named 'a'"):
        array(path, label_column="a", columns=["b"])
    assert array(path, columns=["b"]).train.tolist() == [[2], [5]]


def test_a_parquet_file_with_double_names_is_refused(tmp_path: Path) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array([1.0, 2.0])] * 2, names=["a", "a"])
    parquet.write_table(table, tmp_path / "mine.parquet")
    with pytest.raises(DataError, match=r"columns 1 and 2 are both named 'a'"):
        array(tmp_path / "mine.parquet")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_one_column_of_text_is_read_as_labels_if_it_is_called_so(
    ending: str, tmp_path: Path
) -> None:
    columns: dict[str, Any] = {"a": [1.0, 2.0, 3.0], "species": ["x", "y", "x"], "b": [4.0, 5, 7]}
    file = tmp_path / f"mine.{ending}"

    def written(**others: Any) -> Path:
        frame = pd.DataFrame(columns | others)
        frame.to_parquet(file, index=False) if ending == "parquet" else frame.to_csv(
            file, index=False
        )
        return file

    source = array(written())

    assert source.features == ("a", "b")
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [0, 1, 0]
    assert "Column species holds text: it is read as labels, not trained on" in source.note
    with pytest.raises(DataError):  # two columns of text: which are the labels?
        array(written(city=["x", "y", "z"]))
    columns["city"] = columns.pop("species")
    with pytest.raises(DataError, match=r"city.*data\.source\.label_column"):
        array(written())


def test_a_sample_is_not_taken_for_names_because_its_label_is_a_word(path: Path) -> None:
    path.write_text("1,2,species\n3,4,y\n5,6,z\n")
    with pytest.raises(DataError, match="'y' is not a number"):
        array(path)


def test_columns_that_seem_labels_or_numbers_of_rows_are_noted(path: Path) -> None:
    rows = [f"{n * 7 % 50 + 3},{n * 0.1},{n % 3},{n}" for n in range(50)]
    path.write_text("\n".join(["sample_id,a,target,step", *rows]))

    note = array(path).note

    assert "set it apart with data.source.label_column=target" in note
    assert "sample_id, step seem to number the rows" in note
    assert "data.source.columns=[...]" in note
    assert array(path, columns=["a"]).note == ""
    path.write_text("x,y\n1.5,2\n3,9\n")  # coordinates
    assert array(path).note == ""
    path.write_text("\n".join(["sample_id,a,target,step", *rows]))
    labelled = array(path, label_column="target").note
    assert "Column target is read as labels, not trained on." in labelled
    assert "data.source.label_column" not in labelled


def test_decimals_are_numbers(save: Save) -> None:
    values = [Decimal("1.50"), Decimal("-2.25")]
    assert array(save(a=values, b=[1, 2])).train.tolist() == [[1.5, 1], [-2.25, 2]]
