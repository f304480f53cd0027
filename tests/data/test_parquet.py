"""Parquet files and columns by name: what is understood, and what each mistake is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from activae.data import array
from activae.errors import ConfigError, DataError

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
    with pytest.raises(DataError, match=r"__index_level_0__: is pandas' row index"):
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
