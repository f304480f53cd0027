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

from activae.activations.analysis import moments
from activae.config.identity import job_id
from activae.config.settling import read, settle
from activae.data.module import AutoencoderDataModule
from activae.results.diagnostics import effective_rank, gradient_norms
from activae.results.evaluation import Reference, is_exact
from activae.results.pca import PCA
from activae.results.run import train, train_settled
from activae.results.run_folder import CONFIG, METRICS
from activae.results.scores import reconstruction_scores
from activae.results.terminal import conclude
from activae.training.assembly import build_data, build_model
from activae.training.checkpoint import BEST, load_checkpoint
from activae.training.shared import Shared

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
        if stage != "test":  # SSIM, the dearest, is taken on test alone
            assert found[stage].pop("SSIM") is None
            expected.pop("SSIM")
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
            "activation@output.activation=identity",
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


def test_a_run_that_tunes_does_not_look_at_test(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(compose(*SMALL), tmp_path / "whole")
    setup = AutoencoderDataModule.setup

    def without_test(self: AutoencoderDataModule, stage: str = "fit") -> None:
        setup(self, stage)
        self.samples["test"] = torch.full_like(self.samples["test"], torch.nan)

    monkeypatch.setattr(AutoencoderDataModule, "setup", without_test)
    found = train(compose(*SMALL, "logger=tensorboard", "score.test=false"), tmp_path / "tuned")

    assert found["test"] is None
    assert found["pca"]["test"] is None
    assert found["ratio_to_pca"] is None
    assert found["val"]["SSIM"] is not None
    assert {**found["val"], "SSIM": None} == whole["val"]
    assert found["id"] != whole["id"]


def test_the_table_then_shows_val(
    run: Callable[..., Path], compose: Compose, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run("score.test=false")

    conclude(metrics(folder), settle(compose(*SMALL)), folder)

    text = capsys.readouterr().out
    assert "val split" in text
    assert f"{metrics(folder)['val']['SE']:.4g}" in text


def test_train_is_scored_on_a_fixed_sample(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activae.results.evaluation.TRAIN_SAMPLES", 50)
    cfg = settle(compose(*SMALL))
    data = build_data(cfg)
    found = train(compose(*SMALL), tmp_path / "a")
    other = train(compose(*SMALL, "seed=1"), tmp_path / "b")

    assert (found["train_samples"], len(data.samples["train"])) == (50, 126)
    # The same 50 whatever the seed of the run: PCA's figures on them are equal.
    assert found["pca"]["train"] == other["pca"]["train"]
    reference = Reference.of(data, test=True)
    assert reference.rows is not None
    assert len(reference.rows.unique()) == 50
    x = data.samples["train"][reference.rows]
    error = (
        (reference.pca.reconstruct(x, cfg.encoding.dim) - x)
        .square()
        .flatten(1)
        .sum(1)
        .mean()
        .item()
    )
    assert found["pca"]["train"]["SE"] == pytest.approx(error, rel=1e-5)


def test_what_depends_on_the_data_alone_is_found_once(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, fits, fit = Shared(), [], PCA.fit
    monkeypatch.setattr(PCA, "fit", lambda x: fits.append(1) or fit(x))
    scores = [
        train_settled(settle(compose(*SMALL, *overrides)), tmp_path / str(place), shared)
        for place, overrides in enumerate([(), ("seed=1",), ("encoding.dim=3",)])
    ]

    assert len(fits) == 1
    assert scores[0]["pca"] == scores[1]["pca"]
    assert scores[2]["pca"]["dim"] == 3
    assert scores[2]["pca"]["test"]["SE"] > scores[0]["pca"]["test"]["SE"]


def test_metrics_say_where_they_come_from(run: Callable[..., Path], compose: Compose) -> None:
    folder = run("seed=3")
    found = metrics(folder)

    assert found["id"] == job_id(read(folder / CONFIG))
    assert found["seed"] == 3
    assert found["device"] == "cpu"
    assert found["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert found["versions"].keys() == {"python", "activae", "torch", "lightning"}


def test_metrics_hold_the_diagnostics_as_numbers(
    run: Callable[..., Path], compose: Compose
) -> None:
    folder = run("activation=tanh", "encoding.dim=4")
    found = metrics(folder)["diagnostics"]
    hidden = ["encoder.activation1", "encoder.activation2"]
    hidden += ["decoder.activation1", "decoder.activation2"]
    cfg = settle(compose(*SMALL, "activation=tanh", "encoding.dim=4"))
    data = build_data(cfg)
    model = build_model(cfg, data).eval()
    model.load_state_dict(load_checkpoint(folder / BEST)["state_dict"])
    probe = data.samples["val"][:256]

    for name in ("dead", "saturated", "chi_1"):
        assert list(found[name]) == hidden
    assert found["chi_1"][hidden[0]] == pytest.approx(moments(torch.nn.Tanh()).chi_1)
    assert 1 < found["effective_rank"] <= 4
    assert found["effective_rank"] == pytest.approx(effective_rank(model.net.encode(probe)))
    norms = gradient_norms(model.net.named_parameters(), model.terms(probe)["reconstruction"])
    assert found["gradient_norm"] == pytest.approx(norms, rel=1e-4)


def test_an_activation_without_chi_1_has_none(run: Callable[..., Path]) -> None:
    found = metrics(run("activation=glu"))["diagnostics"]

    assert set(found["chi_1"].values()) == {None}
    assert all(0 <= share <= 1 for share in found["saturated"].values())


def test_a_code_as_large_as_the_data_leaves_pca_without_error(
    compose: Compose, tmp_path: Path
) -> None:
    data = ("data=random", "data.source.features=4", "data.source.samples=100", "encoding.dim=4")

    found = train(compose(*SMALL, *data), tmp_path)

    assert is_exact(found["pca"]["test"])
    assert found["pca"]["test"]["SE"] > 0
    assert found["ratio_to_pca"] is None
