"""A run on any of the data sets is put to use: new data in the form of its own go in and out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig

import activae
from activae.config.settling import settle
from activae.data.module import AutoencoderDataModule
from activae.results.recording import Recorders
from activae.results.run_folder import record
from activae.training.assembly import build_data, build_model
from activae.training.fitting import fit
from activae.training.process import process_state
from activae.use.run import Run

Compose = Callable[..., DictConfig]
Mandatory = Callable[[str, str], list[str]]

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = [file.stem for file in sorted(CONFIGS.glob("data/*.yaml"))]
QUICK = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.batch_size=16",
    "trainer.max_steps=4",
)


def trained(cfg: DictConfig, folder: Path) -> AutoencoderDataModule:
    cfg = settle(cfg)
    record(cfg, folder)
    data = build_data(cfg)
    model = build_model(cfg, data)
    with process_state(cfg.seed):
        fit(cfg, model, data, folder, Recorders())
    return data


def given_again(data: AutoencoderDataModule, run: Run) -> Any:
    """Data of the kind that the run was trained on: its own file, or the samples themselves."""
    path = run.config["data"].get("path")
    return data.source.train if path is None else Path(path)


def rows(x: Any, first: int, last: int) -> Any:
    return x.iloc[first:last] if isinstance(x, pd.DataFrame) else x[first:last]


@pytest.mark.parametrize("name", DATA)
def test_its_own_data_go_through_preparation_and_normalisation(
    name: str, compose: Compose, mandatory: Mandatory, tmp_path: Path
) -> None:
    data = trained(compose(f"data={name}", *mandatory("data", name), *QUICK), tmp_path)
    run = activae.load(tmp_path)
    raw = data.source.train
    assert isinstance(raw, torch.Tensor)
    if name in ("pbmc", "newsgroups"):  # rows of another kind, which no file of the user's holds
        x: Any = example_rows(name)
    else:
        x = given_again(data, run)
        assert run.to_network(x).equal(data.normalisation(raw))
    codes, reconstructed, scores = run.encode(x), run.reconstruct(x), run.score(x)

    number = len(codes)
    assert np.shape(codes) == (number, *run.code_shape)
    assert len(reconstructed) == len(scores) == number
    with torch.no_grad():
        normalised = run.to_network(x)
        expected = (run.network(normalised) - normalised).square().flatten(1).sum(1)
    assert np.allclose(scores, expected, rtol=1e-4, atol=1e-6)
    assert_in_the_form_of(x, reconstructed, run)
    assert_decoded(run, codes, reconstructed)


def example_rows(name: str) -> Any:
    if name == "newsgroups":
        return ["the ship number1 sails", "a sea number2"]
    import scanpy

    cells = scanpy.datasets.pbmc68k_reduced()
    totals = cells.obs["n_counts"].to_numpy()[:, None]
    counts = (np.expm1(cells.raw.X.toarray().astype(float)) * totals / 1e4).round()
    return anndata.AnnData(counts, obs=cells.obs, var=pd.DataFrame(index=cells.raw.var_names))


def assert_in_the_form_of(x: Any, found: Any, run: Run) -> None:
    if isinstance(x, (np.ndarray, torch.Tensor)):
        assert (type(found), found.shape, found.dtype) == (type(x), x.shape, x.dtype)
    elif isinstance(x, anndata.AnnData):
        assert list(found.obs_names) == list(x.obs_names)
        assert list(found.var_names) == list(run.spec.features or ())
    elif isinstance(x, Path) and x.suffix == ".csv":
        assert isinstance(found, pd.DataFrame)
        assert set(found.columns) == set(pd.read_csv(x).columns)
    elif isinstance(x, Path) and x.is_dir():
        assert {picture.size for picture in found} == {run.spec.shape[:0:-1]}


def assert_decoded(run: Run, codes: Any, reconstructed: Any) -> None:
    """What a code decodes to is the reconstruction, where the code is all that is needed."""
    if run.shares_totals or isinstance(reconstructed, (list, anndata.AnnData)):
        return
    decoded = run.decode(codes)
    if isinstance(reconstructed, pd.DataFrame):
        assert decoded[reconstructed.columns].equals(reconstructed)
    else:
        rounded = 0.5 if reconstructed.dtype == torch.uint8 else 0.0
        exact, given_back = (np.asarray(each, dtype=float) for each in (decoded, reconstructed))
        assert np.abs(exact - given_back).max() <= rounded
