"""A run as a folder to pass on: it opens as the run does, and its card says what it is."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from omegaconf import DictConfig
from PIL import Image

import activae
from activae.cli.use import main
from activae.errors import ConfigError, DataError, UserError
from activae.results.run import train
from activae.use import publishing
from activae.use.publishing import publish
from activae.use.run import Run

Compose = Callable[..., DictConfig]
Trained = Callable[..., Path]


@pytest.fixture(scope="module")
def published(digits: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "digits"
    publish(digits, folder, "cc-by-4.0")
    return folder


def test_the_folder_opens_as_the_run_does_bit_for_bit(
    published: Path, digits: Run, images: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    again = activae.load(published)

    assert np.array_equal(again.encode(images), digits.encode(images))
    assert np.array_equal(again.reconstruct(images), digits.reconstruct(images))
    assert np.array_equal(again.score(images), digits.score(images))
    assert (again.spec, again.config, again.metrics) == (
        digits.spec,
        digits.config,
        digits.metrics,
    )
    assert caplog.text == ""


@pytest.mark.parametrize("kind", ["table", "texts", "double precision"])
def test_preparations_and_precision_go_along(
    kind: str, table_run: Run, text_run: Run, trained: Trained, images: np.ndarray, tmp_path: Path
) -> None:
    given: Any
    if kind == "table":
        run = table_run
        given = pd.DataFrame({"mass": [70.1, 60.3], "city": ["Rome", "Oslo"], "age": [30.0, 41.5]})
    elif kind == "texts":
        run, given = text_run, ["the ship number1 sails", "a sea"]
    else:
        run = activae.load(trained("data=digits", "trainer.precision=64-true"))
        given = images[:5]

    publish(run, tmp_path / "out")
    again = activae.load(tmp_path / "out")

    assert np.array_equal(again.encode(given), run.encode(given))
    assert np.array_equal(again.score(given), run.score(given))
    for state in ("network", "normalisation"):
        ours, theirs = (getattr(each, state).state_dict() for each in (run, again))
        assert all(value.equal(theirs[name]) for name, value in ours.items())


def test_what_was_passed_on_can_be_passed_on_again(published: Path, tmp_path: Path) -> None:
    publish(activae.load(published), tmp_path / "again", "cc-by-4.0")

    assert files(tmp_path / "again") == files(published)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def front(folder: Path) -> dict[str, Any]:
    """What hubs read of a card."""
    _, head, _ = (folder / "README.md").read_text().split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(head)
    return found


def test_the_card_says_what_hubs_and_readers_ask(published: Path, digits: Run) -> None:
    assert front(published) == {
        "license": "cc-by-4.0",
        "library_name": "activae",
        "tags": ["autoencoder", "activation-function", "digits", "image", "ReLU"],
        "pipeline_tag": "feature-extraction",
    }
    text = (published / "README.md").read_text()
    assert "| activation | ReLU |" in text
    assert f"| SE | {digits.metrics['train']['SE']:.4g} |" in text
    assert "python train.py resume=again" in text
    assert "cp FOLDER/config.yaml again/" in text
    assert f"| torch | {torch.__version__.split('+')[0]}" in text


def test_without_a_licence_the_card_says_how_to_name_one(digits: Run, tmp_path: Path) -> None:
    publish(digits, tmp_path / "out")

    assert front(tmp_path / "out")["license"] == "other"
    assert "`--licence NAME`" in (tmp_path / "out/README.md").read_text()


def test_the_command_of_the_card_trains_the_same_run(
    published: Path, digits: Run, train_py: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "again").mkdir()
    shutil.copy(published / "config.yaml", tmp_path / "again")

    outcome = train_py("resume=again")

    assert outcome.code == 0, outcome.text
    metrics = json.loads((tmp_path / "again/metrics.json").read_text())
    assert metrics["test"] == digits.metrics["test"]


def test_the_card_shows_what_tensorboard_shows(compose: Compose, tmp_path: Path) -> None:
    quick = ("trainer=cpu", "logger.progress_bar=false", "trainer.max_steps=20")
    train(compose("data=digits", "logger=tensorboard", *quick), tmp_path / "run")

    publish(activae.load(tmp_path / "run"), tmp_path / "out")

    assert "](reconstructions.png)" in (tmp_path / "out/README.md").read_text()
    with Image.open(tmp_path / "out/reconstructions.png") as picture:
        assert min(picture.size) > 48


def test_the_card_shows_the_samples_that_are_given(
    digits: Run, images: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", images[:12])

    publish(digits, tmp_path / "out", samples=tmp_path / "x.npy")

    assert "](reconstructions.png)" in (tmp_path / "out/README.md").read_text()


def test_a_run_that_shows_no_pictures_has_none(
    published: Path, table_run: Run, tmp_path: Path
) -> None:
    assert "reconstructions.png" not in files(published)  # logger=minimal
    with pytest.raises(DataError, match=r"--samples=x\.png: is for runs on images"):
        publish(table_run, tmp_path / "out", samples=Path("x.png"))


def test_force_replaces_an_export_and_nothing_else(
    digits_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")

    assert main(["export", str(digits_folder), str(out)], "") == 0
    assert "open it by activae.load(" in capsys.readouterr().out
    assert main(["export", str(digits_folder), str(out)], "") == 1
    assert main(["export", str(digits_folder), str(out), "--force", "--licence", "mit"], "") == 0
    assert front(out)["license"] == "mit"
    for folder in (other, digits_folder):
        before = files(folder / "checkpoints" if folder is digits_folder else folder)
        assert main(["export", str(digits_folder), str(folder), "--force"], "") == 1
        assert files(folder / "checkpoints" if folder is digits_folder else folder) == before
    assert "holds something else than an exported run" in capsys.readouterr().err


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def flood(file: Path) -> None:
    file.write_bytes((1 << 62).to_bytes(8, "little") + file.read_bytes()[8:])


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", cut),
        ("model.safetensors", flood),
        ("model.safetensors", lambda file: file.write_bytes(b"")),
        ("data.json", cut),
        ("data.json", Path.unlink),
        ("data.json", lambda file: file.write_text("{}")),
        ("data.json", lambda file: file.write_text("[" * 100_000)),
    ],
)
def test_a_damaged_file_is_named(
    name: str, damage: Callable[[Path], None], published: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(published, folder)
    damage(folder / name)

    with pytest.raises(DataError, match=rf"{name}: is missing or damaged .*get the folder again"):
        activae.load(folder)


def test_weights_of_another_network_are_refused(
    published: Path, trained: Trained, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    publish(activae.load(trained("data=digits", "encoding.dim=5")), folder)
    shutil.copy(published / "model.safetensors", folder)

    with pytest.raises(DataError, match=r"model\.safetensors: does not fit the run's config\.yaml"):
        activae.load(folder)


def test_safetensors_that_is_not_installed_is_told_in_one_message(
    published: Path, digits: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)

    for act in (lambda: activae.load(published), lambda: publish(digits, tmp_path / "out")):
        with pytest.raises(ConfigError, match=r"pip install 'activae\[share\]'"):
            act()
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_was_interrupted_is_begun_again(
    digits: Run, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, "card", interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(digits, folder)
    monkeypatch.undo()
    with pytest.raises(UserError):
        activae.load(folder)  # half of it is no run

    publish(digits, folder)

    assert np.array_equal(activae.load(folder).encode(images), digits.encode(images))
