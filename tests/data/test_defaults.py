"""What a config leaves open follows from the head of the user's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activae.config.identity import job_id
from activae.config.settling import settle
from activae.data.defaults import code_dim


@pytest.fixture
def settled(compose: Any) -> Any:
    return lambda *overrides: settle(compose(*overrides))


def table(file: Path, columns: int) -> Path:
    names = [f"c{number}" for number in range(columns)]
    rows = np.random.default_rng(0).normal(size=(20, columns))
    np.savetxt(file, rows, delimiter=",", header=",".join(names), comments="")
    return file


@pytest.mark.parametrize(
    ("columns", "dim"),
    [(1, 1), (2, 1), (3, 2), (5, 2), (30, 8), (32, 16), (63, 16), (64, 32), (900, 32)],
)
def test_a_code_has_at_most_half_the_width(columns: int, dim: int, tmp_path: Path) -> None:
    assert code_dim(str(table(tmp_path / "t.csv", columns))) == dim


@pytest.mark.parametrize("data", ["array", "tabular"])
def test_the_width_of_a_table_sets_the_code_unless_the_user_does(
    data: str, tmp_path: Path, settled: Any
) -> None:
    own = (f"data={data}", f"data.path={table(tmp_path / 't.csv', 17)}")
    assert settled(*own).encoding.dim == 8
    assert settled(*own, "encoding.dim=5").encoding.dim == 5
    assert settled(*own, "encoding=dim16").encoding.dim == 16
    labelled = (*own, "data.source.label_column=c1")
    assert settled(*labelled).encoding.dim == 8
    if data == "array":
        assert settled(*own, "data.source.columns=[c1,c2,c3,c4]").encoding.dim == 2
    else:
        assert settled(*labelled, "data.source.drop=[c2,c3]").encoding.dim == 4


def test_labels_of_text_are_no_part_of_the_width(tmp_path: Path, settled: Any) -> None:
    (tmp_path / "t.csv").write_text("species,a,b,c,d,e,f,g\nx,1,2,3,4,5,6,8\ny,2,3,5,4,5,6,9\n")
    own = f"data.path={tmp_path / 't.csv'}"
    assert settled("data=array", own).encoding.dim == 2
    assert settled("data=tabular", own).encoding.dim == 4


def test_wide_data_keep_the_code_and_the_id_that_they_had(tmp_path: Path, settled: Any) -> None:
    own = ("data=array", f"data.path={table(tmp_path / 't.csv', 80)}")
    written_out = ("encoding.dim=32", "data.normalisation=standardise")
    assert job_id(settled(*own)) == job_id(settled(*own, *written_out))


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_images_of_bytes_take_the_unit_range(ending: str, tmp_path: Path, settled: Any) -> None:
    images = np.random.default_rng(0).integers(0, 200, (20, 5, 5, 3)).astype(np.uint8)
    flat = images.reshape(20, 75)

    def of(values: Any, *overrides: str) -> str:
        file = tmp_path / f"mine.{ending}"
        if ending == "npz":
            np.savez(file, data=values, labels=np.arange(20))
        else:
            np.save(file, values)
        found = settled("data=array", f"data.path={file}", *overrides).data.normalisation
        return str(found)

    assert of(images) == "unit_range"
    assert of(images, "data.normalisation=standardise") == "standardise"
    assert of(flat, "data.source.image_shape=[3,5,5]") == "unit_range"
    assert of(flat) == of(images.astype(np.float32)) == "standardise"


def test_a_file_that_cannot_be_read_is_left_to_the_run(tmp_path: Path, settled: Any) -> None:
    (tmp_path / "bad.npz").write_text("nothing")
    for file in ("bad.npz", "missing.csv", "missing.npy"):
        cfg = settled("data=array", f"data.path={tmp_path / file}")
        assert (cfg.encoding.dim, cfg.data.normalisation) == (32, "standardise")


def test_no_file_is_no_fault_of_the_defaults(settled: Any) -> None:
    assert settled("data=array").encoding.dim == settled("data=tabular").encoding.dim == 32
