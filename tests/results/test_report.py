"""What the terminal says at the end of a run."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from activae.config.instantiating import activation_label
from activae.config.settling import settle
from activae.results.terminal import conclude, hints

Compose = Callable[..., DictConfig]
Metrics = dict[str, Any]


@pytest.fixture
def metrics() -> Metrics:
    scores = {
        "SE": 2.0,
        "MSE": 0.03125,
        "BCE": 5.5,
        "PSNR": 15.05,
        "SSIM": 0.9,
        "explained_variance": 0.75,
    }
    linear = {**scores, "SE": 4.0, "MSE": 0.0625, "BCE": 11.0}
    return {
        "train": dict(scores),
        "val": dict(scores),
        "test": dict(scores),
        "pca": {"dim": 8, "train": dict(linear), "val": dict(linear), "test": dict(linear)},
        "seconds": {"all": 12.34, "fit": 9.87},
        "steps": 2000,
        "best_epoch": 41,
    }


@pytest.fixture
def conclusion(
    metrics: Metrics, compose: Compose, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    def concluded(*overrides: str, folder: Path = Path("outputs/now")) -> str:
        conclude(metrics, settle(compose(*overrides)), folder)
        return capsys.readouterr().out

    return concluded


def row(text: str, name: str) -> list[str]:
    """The cells of the line that begins with a name."""
    line = next(line for line in text.splitlines() if name in line)
    return [cell.strip() for cell in line.split("│") if cell.strip()][1:]


def test_the_run_stands_beside_pca_of_the_same_dimension(conclusion: Callable[..., str]) -> None:
    text = conclusion("activation=tanh")

    assert "Tanh on digits" in text
    assert "PCA, 8 dims" in text
    assert row(text, "SE (squared") == ["2", "4", "0.5"]
    assert row(text, "BCE above its floor") == ["5.5", "11", "0.5"]


def test_only_errors_have_a_ratio(conclusion: Callable[..., str]) -> None:
    text = conclusion()

    assert row(text, "PSNR") == ["15.05", "15.05"]
    assert row(text, "explained variance") == ["0.75", "0.75"]


def test_scores_that_the_data_do_not_have_are_left_out(
    conclusion: Callable[..., str], metrics: Metrics
) -> None:
    metrics["test"]["SSIM"] = metrics["pca"]["test"]["SSIM"] = None

    assert "SSIM" not in conclusion()


def test_it_says_why_the_cross_entropy_is_left_out(
    conclusion: Callable[..., str], metrics: Metrics
) -> None:
    metrics["test"]["BCE"] = metrics["pca"]["test"]["BCE"] = None

    assert "BCE is left out: the test split has values outside [0, 1]" in conclusion()

    metrics["train"]["BCE"] = None  # the data were never meant to lie there

    assert "BCE" not in conclusion()


def test_a_perfect_reconstruction_has_no_psnr(
    conclusion: Callable[..., str], metrics: Metrics
) -> None:
    metrics["pca"]["test"] |= {"SE": 0.0, "PSNR": None}

    text = conclusion()

    assert row(text, "SE (squared") == ["2", "0"]
    assert row(text, "PSNR") == ["15.05"]


def test_nothing_is_compared_with_a_pca_that_is_exact(
    conclusion: Callable[..., str], metrics: Metrics
) -> None:
    """The code is as large as the data: only rounding is left of PCA's error."""
    for split in ("train", "val", "test"):
        metrics["pca"][split] |= {"SE": 9e-13, "MSE": 2e-13, "explained_variance": 1 - 2e-13}

    text = " ".join(conclusion("encoding.dim=4").split())

    assert row(conclusion(), "SE (squared") == ["2", "exact"]
    assert "PCA reconstructs these data exactly from 4 dimensions" in text
    assert "PCA with as many dimensions does better" not in text


def test_it_says_what_it_took_and_where_to_look(conclusion: Callable[..., str]) -> None:
    text = conclusion(folder=Path("outputs/2026-01-01/00-00-00_a=b"))

    assert "12.3 s, 9.9 s of it in 2000 steps; best after epoch 42" in text
    assert "outputs/2026-01-01/00-00-00_a=b\n" in text
    assert "tensorboard --logdir outputs\n" in text


def test_a_run_elsewhere_is_shown_by_itself(conclusion: Callable[..., str], tmp_path: Path) -> None:
    assert f"tensorboard --logdir {tmp_path}\n" in conclusion(folder=tmp_path)


def test_without_events_there_is_nothing_to_look_at(conclusion: Callable[..., str]) -> None:
    assert "tensorboard" not in conclusion("logger=minimal")


@pytest.mark.parametrize("name", ["x=[relu]", "x=[bold]b[/bold]", "x=:smile:", "x=" + "a" * 150])
def test_the_folder_is_printed_as_it_is(name: str, conclusion: Callable[..., str]) -> None:
    assert f"run    outputs/{name}\n" in conclusion(folder=Path("outputs") / name)


def said(metrics: Metrics, cfg: DictConfig) -> str:
    return " ".join(hints(metrics, cfg))


def test_no_hint_where_all_is_well(metrics: Metrics, compose: Compose) -> None:
    assert said(metrics, compose()) == ""


def test_a_run_that_overfits_is_told_so_with_remedies(metrics: Metrics, compose: Compose) -> None:
    metrics["val"]["SE"] = 3.0

    text = said(metrics, compose("encoding=dim32", "data.train_fraction=0.1"))

    assert "It overfits: SE is 1.50 times as high on val as on train" in text
    for remedy in (
        "data.train_fraction=1",
        "encoding.dim=16",
        "objective.l2=1e-5",
        "trainer.early_stopping_patience=5",
    ):
        assert remedy in text


def test_remedies_that_are_in_use_already_are_not_proposed(
    metrics: Metrics, compose: Compose
) -> None:
    metrics["val"]["SE"] = 3.0

    text = said(metrics, compose("objective.l2=1e-4", "trainer.early_stopping_patience=3"))

    assert "stronger weight regularisation" in text
    assert "trainer.early_stopping_patience" not in text
    assert "data.train_fraction=1" not in text


def test_a_run_that_pca_beats_is_told_so(metrics: Metrics, compose: Compose) -> None:
    metrics["pca"]["val"]["SE"] = 1.0

    assert "PCA with as many dimensions does better" in said(metrics, compose())


@pytest.mark.parametrize(
    ("active", "hint"),
    [
        (0, "The code says nothing of the sample, so that all reconstructions are alike"),
        (5, "here 5 of 8 units say something of the sample, and regulariser.kl makes them pay"),
    ],
)
def test_a_vae_that_is_worse_than_pca_is_told_what_holds_it_back(
    active: int, hint: str, metrics: Metrics, compose: Compose
) -> None:
    metrics["pca"]["val"]["SE"] = 1.5
    metrics["diagnostics"] = {"latent": {"active_units": float(active), "units": 8.0}}

    told = said(metrics, compose("experiment=vae"))

    assert hint in told
    assert ("PCA" in told) == (active > 0)


@pytest.mark.parametrize(
    ("experiment", "key"), [("wae", "regulariser.mmd"), ("aae", "regulariser.adversarial")]
)
def test_what_a_prior_costs_is_told_where_pca_does_better(
    experiment: str, key: str, metrics: Metrics, compose: Compose
) -> None:
    metrics["pca"]["val"]["SE"] = 1.5

    told = said(metrics, compose(f"experiment={experiment}"))

    assert f"{key} draws the codes to a prior" in told
    assert f"a smaller {key}.weight lowers the price. Try more steps" in told
    assert "to a prior" not in said(metrics, compose())


def test_words_that_are_worse_than_pca_are_told_to_be_few(
    metrics: Metrics, compose: Compose
) -> None:
    metrics["pca"]["val"]["SE"] = 1.5

    told = said(metrics, compose("experiment=vq_vae", "latent.words=16", "latent.parts=2"))

    assert "from 8 numbers: here a code is 2 of 16 words, 8 bits" in told


def test_hints_do_not_look_at_the_test_split(metrics: Metrics, compose: Compose) -> None:
    before = said(deepcopy(metrics), compose())
    metrics["test"]["SE"], metrics["pca"]["test"]["SE"] = 100.0, 0.1

    assert said(metrics, compose()) == before


def test_remedies_work_as_they_are_written(metrics: Metrics, compose: Compose) -> None:
    metrics["val"]["SE"] = 3.0
    metrics["pca"]["val"]["SE"] = 1.0
    text = said(metrics, compose("encoding=dim32", "data.train_fraction=0.5"))

    proposed = [word.strip("();,.") for word in text.split() if "=" in word]

    assert len(proposed) == 8
    for override in proposed:
        settle(compose(override))


@pytest.mark.parametrize(
    ("half", "hint"),
    [
        ("mlp", "(encoder=deep_mlp decoder=deep_mlp)"),
        ("conv", "(encoder.channels=[32,64] decoder.channels=[64,32])"),
        ("residual_mlp", "(encoder.width=128 decoder.width=128)"),
    ],
)
def test_hints_fit_the_network(half: str, hint: str, metrics: Metrics, compose: Compose) -> None:
    metrics["pca"]["val"]["SE"] = metrics["val"]["SE"] / 2
    network = (f"encoder={half}", f"decoder={half}")

    assert f"wider layers {hint}" in said(metrics, compose(*network))

    metrics["val"]["SE"] = 3 * metrics["train"]["SE"]
    remedies = said(metrics, compose(*network))
    assert ("encoder.hidden" in remedies) == (half == "mlp")
    settle(compose(*network, *hint.strip("()").split()))


def test_halves_that_differ_are_both_named(compose: Callable[..., DictConfig]) -> None:
    halves = ("activation@encoder.activation=gelu", "activation@decoder.activation=tanh")

    assert activation_label(settle(compose(*halves))) == "GELU(approximate=none) / Tanh"
    assert activation_label(settle(compose("activation=silu"))) == "SiLU"
