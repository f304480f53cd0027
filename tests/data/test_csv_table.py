"""CSV files: header or none, labels or none, and the exact cell when one is no number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from activae.data import array
from activae.data.sources.tables import read_numbers
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
    values, labels = read_numbers(path, None)
    assert values.tolist() == [[1, 2.5], [3, -40]]
    assert labels is None


@pytest.mark.parametrize("label_column", ["kind", 1, -2])
def test_labels_are_taken_out_by_name_or_by_index(path: Path, label_column: str | int) -> None:
    path.write_text("a,kind,b\n1,cat,2\n3,big dog,4\n")
    values, labels = read_numbers(path, label_column)
    assert values.tolist() == [[1, 2], [3, 4]]
    assert labels is not None
    assert labels.tolist() == ["cat", "big dog"]


def test_text_labels_in_the_first_line_do_not_make_it_a_header(path: Path) -> None:
    path.write_text("1,cat\n2,dog\n")
    values, labels = read_numbers(path, -1)
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
