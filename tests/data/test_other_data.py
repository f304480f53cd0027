"""Other data for a run: columns are found by name in any order, and what does not fit is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig

from activae.config.settling import container, settle
from activae.data.other_data import other_samples
from activae.errors import ConfigError, DataError
from activae.results.run import train
from activae.training.assembly import build_data
from activae.training.restoring import load_network

Compose = Callable[..., DictConfig]
Again = Callable[[pd.DataFrame, str], torch.Tensor]

ROWS = 40
noise = np.random.default_rng(0)
NUMBERS = pd.DataFrame(
    {
        "mass": noise.normal(70, 9, ROWS),
        "height": noise.normal(1.7, 0.1, ROWS),
        "age": noise.integers(20, 90, ROWS).astype(float),
    }
)
MIXED = NUMBERS.assign(city=["Oslo", "Rome"] * 20, kind=["1", "x", "y", "z"] * 10)


def write(table: pd.DataFrame, file: Path) -> Path:
    if file.suffix == ".npy":
        np.save(file, table.to_records(index=False))
    elif file.suffix == ".parquet":
        table.to_parquet(file, index=False)
    else:
        table.to_csv(file, index=False, sep="\t" if file.suffix == ".tsv" else ",")
    return file


@pytest.fixture
def reader(compose: Compose, tmp_path: Path) -> Callable[..., Again]:
    """Trains on a table (as far as the data are concerned), and reads others as that run would."""

    def trained(table: pd.DataFrame, kind: str, *overrides: str, ending: str = "csv") -> Again:
        file = write(table, tmp_path / f"first.{ending}")
        cfg = settle(compose(f"data={kind}", f"data.path='{file}'", *overrides))
        data = build_data(cfg)
        node = container(cfg.data.source)

        def again(other: pd.DataFrame, ending: str = ending) -> torch.Tensor:
            file = write(other, tmp_path / f"other.{ending}")
            return other_samples(file, node, data.spec, data.source.preparation)

        return again

    return trained


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npy"])
def test_columns_in_another_order_are_the_same_samples(
    ending: str, reader: Callable[..., Again]
) -> None:
    again = reader(NUMBERS, "array", ending=ending)

    expected = torch.from_numpy(NUMBERS.to_numpy())
    assert again(NUMBERS, ending).equal(expected)
    assert again(NUMBERS[["age", "mass", "height"]], ending).equal(expected)
    assert again(NUMBERS[["height", "age", "mass"]][:1], "csv").equal(expected[:1])


def test_numbers_and_categories_are_found_by_name_too(reader: Callable[..., Again]) -> None:
    again = reader(MIXED, "tabular")
    first = again(MIXED, "csv")

    assert again(MIXED[["kind", "age", "city", "height", "mass"]], "csv").equal(first)
    # These rows alone would make numbers of `kind`.
    assert again(MIXED[::4], "csv").equal(first[::4])


@pytest.mark.parametrize("kind", ["array", "tabular"])
def test_all_missing_and_unknown_columns_are_named(kind: str, reader: Callable[..., Again]) -> None:
    again = reader(NUMBERS, kind)
    other = NUMBERS.rename(columns={"mass": "weight", "age": "years"})

    with pytest.raises(DataError, match=r"other\.csv: .*lacks mass, age; has the unknown weight, "):
        again(other, "csv")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("array", ["data.source.label_column=city", "data.source.columns=[mass,height]"]),
        ("tabular", ["data.source.label_column=city", "data.source.drop=[kind,age]"]),
    ],
)
def test_what_a_run_left_out_may_be_there_or_not(
    kind: str, settings: list[str], reader: Callable[..., Again]
) -> None:
    again = reader(MIXED, kind, *settings)

    assert again(MIXED, "csv").equal(again(MIXED[["height", "mass"]], "csv"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_of_text_that_were_found_may_be_there_or_not(
    ending: str, reader: Callable[..., Again]
) -> None:
    labelled = NUMBERS.assign(species=["x", "y"] * 20)
    again = reader(labelled, "array")

    assert again(labelled, ending).equal(again(NUMBERS, ending))
    with pytest.raises(DataError, match="has the unknown target"):
        again(NUMBERS.assign(target=3.0), ending)


def test_a_table_without_names_is_refused_where_the_run_knows_some(
    reader: Callable[..., Again], tmp_path: Path
) -> None:
    again = reader(NUMBERS, "array")

    (tmp_path / "x.csv").write_text("1,2,3\n4,5,9\n")
    renamed = pd.read_csv(tmp_path / "x.csv")  # its names are 1, 2 and 3
    with pytest.raises(DataError, match=r"have no names.*mass,height,age"):
        again(renamed, "csv")


def test_arrays_without_names_are_taken_by_position(compose: Compose, tmp_path: Path) -> None:
    np.save(tmp_path / "first.npy", NUMBERS.to_numpy())
    cfg = settle(compose("data=array", f"data.path='{tmp_path / 'first.npy'}'"))
    spec, node = build_data(cfg).spec, container(cfg.data.source)

    np.savez(tmp_path / "other.npz", NUMBERS.to_numpy()[:1])
    assert other_samples(tmp_path / "other.npz", node, spec, None).shape == (1, 3)

    np.save(tmp_path / "wide.npy", np.ones((2, 4)))
    with pytest.raises(DataError, match=r"shape \[4\], .* trained on \[3\]"):
        other_samples(tmp_path / "wide.npy", node, spec, None)
    np.save(tmp_path / "gaps.npy", np.full((2, 3), np.nan))
    with pytest.raises(DataError, match="6 of 6 new values are NaN"):
        other_samples(tmp_path / "gaps.npy", node, spec, None)


def test_runs_on_other_kinds_of_data_say_so(compose: Compose, tmp_path: Path) -> None:
    cfg: Any = settle(compose("data=digits", "data.train_fraction=0.1"))
    with pytest.raises(ConfigError, match=r"come from activae\.data\.digits"):
        other_samples("x.csv", container(cfg.data.source), build_data(cfg).spec, None)


def test_a_finished_run_scores_reordered_columns_alike(compose: Compose, tmp_path: Path) -> None:
    file = write(NUMBERS, tmp_path / "mine.csv")
    quick = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_epochs=1")
    train(compose("data=array", f"data.path='{file}'", *quick), tmp_path / "run")
    run = load_network(tmp_path / "run")

    turned = write(NUMBERS[["age", "height", "mass"]], tmp_path / "turned.csv")

    assert run.spec.features == ("mass", "height", "age")
    first, second = (run.net(run.normalisation(run.samples(path))) for path in (file, turned))
    assert first.equal(second)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_category_that_the_run_does_not_know_is_refused(
    reader: Callable[..., Again], ending: str
) -> None:
    again = reader(MIXED, "tabular", ending=ending)
    other = MIXED.assign(city=["Oslo", "Bern"] * 20)
    with pytest.raises(
        DataError, match=rf"other\.{ending}, column city: holds Bern; .* Oslo, Rome"
    ):
        again(other)


def test_a_category_that_the_run_does_not_know_is_a_rare_one_where_it_knows_such(
    reader: Callable[..., Again],
) -> None:
    rare = ["Oslo", "Rome"] * 19 + ["Lima", "Bonn"]
    again = reader(MIXED.assign(city=rare), "tabular", "data.source.min_frequency=0.1")
    assert torch.equal(again(MIXED.assign(city="Bern")), again(MIXED.assign(city="Rio")))
