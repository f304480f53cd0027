"""What a code is worth as features: of a finished run, and in metrics.json."""

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

from activae.cli.use import main
from activae.compare.collect import read_runs
from activae.compare.pairing import pair
from activae.config.identity import job_id
from activae.config.settling import container, settle
from activae.errors import ConfigError
from activae.results import run as running
from activae.results.probing import Labelled, probe
from activae.results.run import train
from activae.results.terminal import show
from activae.training.files import BEST

Compose = Callable[..., DictConfig]
NAMES = {"accuracy", "knn_accuracy", "nmi", "ari"}
QUICK = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_steps=20")


@pytest.fixture(scope="module")
def probed(trained: Callable[..., Path]) -> Path:
    return trained("data=digits", "score.probe=true")


def figures(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())["probe"]


def test_labels_that_a_code_separates_are_told_from_it() -> None:
    noise = torch.Generator().manual_seed(0)
    labels = np.arange(90) % 3
    x = torch.rand(90, 4, generator=noise)
    x[:, 0] += 10 * torch.tensor(labels)
    halves = Labelled(x[:45], labels[:45]), Labelled(x[45:], labels[45:])

    telling = probe(lambda x: x[:, :1], *halves, 1)
    silent = probe(lambda x: x[:, 1:2], *halves, 1)

    assert {name: telling[name] for name in NAMES} == dict.fromkeys(NAMES, pytest.approx(1.0))
    assert telling["pca"] == dict.fromkeys(NAMES, pytest.approx(1.0))
    assert all(silent[name] < 0.7 for name in NAMES)
    assert silent["raw"] == telling["raw"]


def test_words_are_labels_too() -> None:
    x = torch.tensor([[0.0], [1.0]] * 10)
    samples = Labelled(x, np.array(["a", "b"] * 10))

    assert probe(lambda x: x, samples, samples, 1)["accuracy"] == 1


def test_metrics_hold_the_figures_where_they_are_wanted(probed: Path, digits_folder: Path) -> None:
    found = figures(probed)

    assert found.keys() == NAMES | {"raw", "pca"}
    assert found["raw"].keys() == found["pca"].keys() == NAMES
    assert 0.3 < found["accuracy"] <= 1
    assert found["raw"]["accuracy"] > 0.9
    assert "probe" not in json.loads((digits_folder / "metrics.json").read_text())


def test_labels_never_reach_training(probed: Path, digits_folder: Path) -> None:
    with_labels, without = (
        torch.load(folder / BEST, weights_only=True)["state_dict"]
        for folder in (probed, digits_folder)
    )

    assert with_labels.keys() == without.keys()
    assert all(torch.equal(value, without[name]) for name, value in with_labels.items())


def test_test_is_not_looked_at_by_runs_that_tune(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []

    def watched(encode: Any, train: Labelled, test: Labelled, dim: int) -> Any:
        scored.append(len(test.x))
        return {}

    monkeypatch.setattr(running, "probe", watched)
    train(compose("data=digits", "score.probe=true", "score.test=false", *QUICK), tmp_path / "run")

    assert scored == [180]  # the validation split; 359 are the test split's


def test_compare_knows_that_more_is_better(probed: Path, trained: Callable[..., Path]) -> None:
    runs = read_runs([probed, trained("data=digits", "score.probe=true", "activation=tanh")])

    for name in NAMES:
        paired = pair(runs, metric=f"probe/{name}")
        assert paired.sign == -1
        assert -figures(probed)[name] in paired.scores


def test_the_id_of_a_run_without_it_is_what_it_was(compose: Compose) -> None:
    settled = settle(compose("data=digits"))
    older = container(settled)
    del older["score"]["probe"]

    assert job_id(settled) == job_id(older)
    assert job_id(settle(compose("data=digits", "score.probe=true"))) != job_id(settled)


def test_data_without_labels_are_refused_before_training(compose: Compose, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="random: has no labels"):
        train(compose("data=random", "score.probe=true", *QUICK), tmp_path / "run")

    assert not (tmp_path / "run" / BEST).exists()


def test_the_table_at_the_end_of_the_run_shows_its_figures(probed: Path) -> None:
    metrics, told = json.loads((probed / "metrics.json").read_text()), StringIO()

    show(metrics, "a run", Console(file=told, width=100))

    found = metrics["probe"]
    (line,) = (
        line for line in told.getvalue().splitlines() if "linear probe" in line and "│" in line
    )
    assert [float(cell) for cell in line.split("│")[2:4]] == [
        pytest.approx(found["accuracy"], abs=1e-4),
        pytest.approx(found["pca"]["accuracy"], abs=1e-4),
    ]
    assert f"linear probe {found['raw']['accuracy']:.4g}" in told.getvalue()


def test_the_command_probes_a_run_on_its_own_data(
    probed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", str(probed)], "") == 0

    first, code, raw, pca = capsys.readouterr().out.splitlines()
    found = figures(probed)
    assert first.split("  ")[0] == "359 scored"
    for line, of in ((code, found), (raw, found["raw"]), (pca, found["pca"])):
        assert float(line.split()[-4]) == pytest.approx(of["accuracy"], abs=0.004)
    assert code.startswith("code (8)")
    assert pca.startswith("PCA (8)")


def test_the_command_takes_a_file_and_its_labels(
    digits_folder: Path, tmp_path: Path, images: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", images[:100])
    (tmp_path / "y.txt").write_text("odd\neven\n" * 50)
    (tmp_path / "named.csv").write_text("parity\n" + "odd\neven\n" * 50 + "\n")
    np.save(tmp_path / "y.npy", np.arange(100) % 2)
    command = ["probe", str(digits_folder), str(tmp_path / "x.npy"), "--labels"]

    tables = []
    for name in ("y.txt", "named.csv", "y.npy"):
        assert main([*command, str(tmp_path / name)], "") == 0
        tables.append(capsys.readouterr().out)

    assert tables[0] == tables[1] == tables[2]
    assert tables[0].startswith("20 scored")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("a\nb\n", "has 2 labels, and"),
        ("a\n" + "a\nb\n" * 50, "has 101 labels, and"),
        ("a\n" * 100, "of two kinds or more"),
        ("height,age\n" + "".join(f"{n},1\n" for n in range(100)), "100 different labels of 100"),
        (None, "go together"),
    ],
)
def test_labels_that_do_not_fit_are_one_message(
    digits_folder: Path,
    tmp_path: Path,
    images: np.ndarray,
    capsys: pytest.CaptureFixture[str],
    labels: str | None,
    said: str,
) -> None:
    np.save(tmp_path / "x.npy", images[:100])
    (tmp_path / "y.txt").write_text(labels or "")
    given = [] if labels is None else ["--labels", str(tmp_path / "y.txt")]

    assert main(["probe", str(digits_folder), str(tmp_path / "x.npy"), *given], "") == 1
    assert said in capsys.readouterr().err


def test_labels_that_are_not_there_are_one_message(
    digits_folder: Path, tmp_path: Path, images: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", images[:10])
    given = ["--labels", str(tmp_path / "y.txt")]
    assert main(["probe", str(digits_folder), str(tmp_path / "x.npy"), *given], "") == 1
    assert "y.txt: cannot be read (No such file or directory)" in capsys.readouterr().err
