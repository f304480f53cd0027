"""Finished runs to put to use, each trained once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig

import activae
from activae.results.run import train
from activae.use.run import Run

Compose = Callable[..., DictConfig]
Trained = Callable[..., Path]

QUICK = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_steps=20")


@pytest.fixture(scope="session")
def trained(compose: Compose, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """`trained(*overrides)`: the folder of a short run."""

    def run(*overrides: str) -> Path:
        folder = tmp_path_factory.mktemp("trained") / "run"
        train(compose(*overrides, *QUICK), folder)
        return folder

    return run


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files to train on lie."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def digits_folder(trained: Trained) -> Path:
    return trained("data=digits")


@pytest.fixture(scope="session")
def digits(digits_folder: Path) -> Run:
    return activae.load(digits_folder)


@pytest.fixture(scope="session")
def images(digits: Run) -> np.ndarray:
    """Grey images [N, 8, 8], float64, from 0 to 16."""
    from sklearn.datasets import load_digits

    return np.array(load_digits().images)


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    """80 rows of two numbers and a category."""
    noise = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "mass": noise.normal(70, 9, 80),
            "city": ["Oslo", "Rome"] * 40,
            "age": noise.integers(20, 90, 80).astype(float),
        }
    )


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """60 short texts."""
    return [f"the ship number{n % 7} sails a sea number{n % 5}" for n in range(60)]


@pytest.fixture(scope="session")
def table_run(trained: Trained, home: Path, table: pd.DataFrame) -> Run:
    table.to_csv(home / "table.csv", index=False)
    own = ("data=tabular", f"data.path={home / 'table.csv'}")
    return activae.load(trained(*own, "encoding.dim=32"))  # large enough to give back all columns


@pytest.fixture(scope="session")
def text_run(trained: Trained, home: Path, texts: list[str]) -> Run:
    (home / "texts.txt").write_text("\n".join(texts))
    return activae.load(trained("data=text", f"data.path={home / 'texts.txt'}"))
