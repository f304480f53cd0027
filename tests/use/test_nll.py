"""How likely samples are: of a finished run, by its command, and in metrics.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from rich.console import Console

import activae
from activae.cli.use import main
from activae.compare.collect import read_runs
from activae.compare.pairing import pair
from activae.config.identity import job_id
from activae.config.settling import container, settle
from activae.data import fixed_draw
from activae.errors import ConfigError, DataError
from activae.results.run import train
from activae.results.terminal import show

Compose = Callable[..., DictConfig]
VAE = ("experiment=vae", "data=digits", "score.nll=true", "score.nll_samples=30")
DRAWN = "data.source.binarise=dynamic"
QUICK = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_steps=20")


@pytest.fixture(scope="module")
def folder(trained: Callable[..., Path]) -> Path:
    return trained(*VAE, DRAWN)


def metrics(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(["nll", *arguments], "")
    out, error = capsys.readouterr()
    return out + error


def test_the_command_and_the_metrics_agree(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = metrics(folder)["nll"]

    assert 0 < found["test"] < 64 * np.log(2)  # of a fair coin for each pixel
    assert 0 < found["standard_error"] < 2
    line = f"{found['test']:.2f} nats a sample, standard error {found['standard_error']:.2f}"
    assert f"NLL  {line} (359 samples, 30 codes each)" in told(
        capsys, str(folder), "--samples", "30"
    )


def test_grey_pictures_are_drawn_as_those_that_it_was_trained_on(
    folder: Path, images: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = activae.load(folder)
    drawn = fixed_draw(torch.from_numpy(images[:9])[:, None], (0, 16), part="test")

    evidence = run.log_evidence(images[:9], samples=20)

    assert evidence.shape == (9,)
    assert np.array_equal(evidence, run.log_evidence(drawn, samples=20))
    assert np.array_equal(evidence[:4], run.log_evidence(images[:4], samples=20))
    with pytest.raises(ConfigError, match=r"samples=2\.5: must be a whole number of 1 or more"):
        run.log_evidence(images[:4], samples=2.5)  # type: ignore[arg-type]
    np.save(tmp_path / "some.npy", images[:20])
    rest = ("--samples", "20", "--limit", "9")
    line = told(capsys, str(folder), str(tmp_path / "some.npy"), *rest)
    assert f"NLL  {-evidence.mean():.2f} nats" in line
    assert "(9 samples, 20 codes each)" in line
    one = told(capsys, str(folder), str(tmp_path / "some.npy"), "--samples", "20", "--limit", "1")
    assert "nats a sample (1 samples, 20 codes each)" in one


def test_codes_of_grey_pictures_are_those_of_the_grey_values(
    folder: Path, images: np.ndarray
) -> None:
    run = activae.load(folder)

    codes = run.encode(images[:3])

    x = torch.from_numpy(images[:3]).float()[:, None] / 16
    with torch.no_grad():
        expected = run.network.encode(x).numpy()
    np.testing.assert_allclose(codes, expected, rtol=1e-4, atol=1e-5)


def test_compare_ranks_by_it(folder: Path, trained: Callable[..., Path]) -> None:
    runs = read_runs([folder, trained(*VAE, DRAWN, "activation=tanh")])

    scores = pair(runs, ["activation"], metric="nll/test").scores

    assert sorted(scores[0]) == sorted(runs.table["nll/test"])


def test_the_table_at_the_end_of_the_run_shows_it(folder: Path) -> None:
    page = StringIO()

    show(metrics(folder), "a run", Console(file=page, width=100))

    (row,) = [line for line in page.getvalue().splitlines() if "NLL (nats, 30 codes)" in line]
    assert f" {metrics(folder)['nll']['test']:.4g} " in row


def test_runs_that_tune_have_it_on_val(compose: Compose, tmp_path: Path) -> None:
    train(compose(*VAE, DRAWN, "score.test=false", *QUICK), tmp_path / "run")

    assert set(metrics(tmp_path / "run")["nll"]) == {"val", "standard_error", "codes"}


def test_the_id_of_a_run_without_it_is_what_it_was(compose: Compose) -> None:
    settled = container(settle(compose()))
    before = job_id(settled)
    del settled["score"]["nll"], settled["score"]["nll_samples"]

    assert job_id(settled) == before
    assert job_id(settle(compose("score.nll=true"))) != before


@pytest.mark.parametrize(
    ("overrides", "kind", "named"),
    [
        (VAE, DataError, "objective=bce: .* train with data.source.binarise=dynamic"),
        ((*VAE[1:], DRAWN), ConfigError, "latent=deterministic is none; choose latent=gaussian"),
        ((*VAE, DRAWN, "score.nll_samples=0"), ConfigError, "score.nll_samples=0: must be a whole"),
        ((*VAE, "objective=mse", "data=digits"), ConfigError, "objective=mse: gives samples no"),
    ],
)
def test_what_has_none_is_refused_before_training(
    overrides: tuple[str, ...], kind: Any, named: str, compose: Compose, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=named):
        train(compose(*overrides, *QUICK), tmp_path / "run")


def test_a_finished_run_without_one_is_one_message(
    digits_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = told(capsys, str(digits_folder))

    assert message.startswith("error: the likelihood of samples (nll): takes the code")
    assert "choose latent=gaussian" in message


def test_numbers_of_no_sense_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--samples=0: give a whole number" in told(capsys, str(folder), "--samples", "0")
