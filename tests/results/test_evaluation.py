"""The scores of a finished run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from activae.config.settling import settle
from activae.results.pca import PCA
from activae.results.run import train
from activae.results.run_folder import METRICS
from activae.results.scores import reconstruction_scores
from activae.training.assembly import build_data, build_model
from activae.training.checkpoint import BEST, load_checkpoint

Compose = Callable[..., DictConfig]

SMALL = (
    "trainer=cpu",
    "logger=minimal",
    "logger.progress_bar=false",
    "data.train_fraction=0.1",
    "trainer.max_epochs=3",
)


@pytest.fixture
def run(compose: Compose, tmp_path: Path) -> Callable[..., Path]:
    """Trains SMALL with overrides and returns the run's folder."""

    def train_once(*overrides: str) -> Path:
        train(compose(*SMALL, *overrides), tmp_path)
        return tmp_path

    return train_once


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / METRICS).read_text())
    return found


def test_scores_are_those_of_the_best_checkpoint(
    run: Callable[..., Path], compose: Compose
) -> None:
    folder = run("optimizer.lr=0.05", "trainer.max_epochs=8")
    cfg = settle(compose(*SMALL))
    data = build_data(cfg)
    model = build_model(cfg, data).eval()
    model.load_state_dict(load_checkpoint(folder / BEST)["state_dict"])
    found = metrics(folder)

    for stage, x in data.samples.items():
        with torch.no_grad():
            expected = reconstruction_scores(
                x,
                model(x),
                train_mean=data.samples["train"].mean(0),
                value_span=1.0,
                is_image=True,
            )
        assert found[stage] == pytest.approx(expected, rel=1e-5)
    assert found["val"]["SE"] == pytest.approx(load_checkpoint(folder / BEST)["SE/val"], rel=1e-5)
    assert found["ratio_to_pca"] == found["test"]["SE"] / found["pca"]["test"]["SE"]


def test_pictures_are_scored_on_their_raw_range_whatever_the_normalisation(
    run: Callable[..., Path],
) -> None:
    found = metrics(run("data.normalisation=standardise"))

    # The errors on the normalised scale, PCA's and the network's, are of one kind.
    assert found["val"]["SE"] > 10
    assert found["pca"]["val"]["SE"] > 1
    # In standard deviations the span would be 4 times as large and the PSNR 12 dB higher.
    assert 5 < found["val"]["PSNR"] < 20
    assert found["val"]["BCE"] is not None


def test_vectors_have_no_picture_scores(run: Callable[..., Path]) -> None:
    found = metrics(run("data=random", "data.source.samples=100", "data.source.features=20"))

    assert found["test"]["SSIM"] is None
    assert found["test"]["SE"] > 0


def test_pca_beside_them_has_the_codes_dimension_and_the_training_split_alone(
    run: Callable[..., Path], compose: Compose
) -> None:
    found = metrics(run("encoding.dim=5"))["pca"]
    data = build_data(settle(compose(*SMALL)))

    pca = PCA.fit(data.samples["train"])
    x = data.samples["test"]
    error = (pca.reconstruct(x, 5) - x).square().flatten(1).sum(1).mean().item()
    assert found["dim"] == 5
    assert found["test"]["SE"] == pytest.approx(error, rel=1e-5)


@pytest.mark.mnist
def test_a_linear_autoencoder_reaches_pca_on_mnist(compose: Compose, tmp_path: Path) -> None:
    images = Path(os.environ.get("ACTIVAE_DATA", "data"), "MNIST/raw/train-images-idx3-ubyte")
    if not images.is_file():
        pytest.skip(f"needs {images}")

    found = train(
        compose(
            "data=mnist",
            "encoding=dim30",
            "activation=identity",
            "encoder.hidden=[]",
            "decoder.hidden=[]",
            "scheduler=onecycle",
            "optimizer.lr=1e-2",
            "trainer=cpu",
            "trainer.max_epochs=5",
            "trainer.threads=1",
            "logger=minimal",
            "logger.progress_bar=false",
        ),
        tmp_path,
    )

    assert found["pca"]["test"]["SE"] == pytest.approx(13.87, abs=0.01)
    assert 0.999 < found["ratio_to_pca"] < 1.03
