"""What TensorBoard shows of a run, read back from its events."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from activae.config.settling import settle
from activae.results.recording import Recorders
from activae.results.run import train
from activae.results.run_folder import HISTORY
from activae.results.tensorboard import EventLogger, TensorBoardLog, snapshot_epochs

Compose = Callable[..., DictConfig]

SMALL = (
    "trainer=cpu",
    "logger=tensorboard",
    "logger.progress_bar=false",
    "logger.snapshots=3",
    "logger.projector_samples=50",
    "data.train_fraction=0.1",
    "trainer.max_epochs=5",
    "encoding=dim32",
)
VECTORS = ("data=random", "data.source.samples=100", "data.source.features=12", "objective=bce")
LAYERS = ["encoder.layer1", "encoder.layer2", "encoder.code"]
LAYERS += ["decoder.layer1", "decoder.layer2", "decoder.output"]
ACTIVATIONS = [f"{half}.activation{number}" for half in ("encoder", "decoder") for number in (1, 2)]


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kinds = ("scalars", "images", "histograms", "tensors")
    events = EventAccumulator(str(folder), size_guidance=dict.fromkeys(kinds, 0))
    events.Reload()
    return events


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains SMALL with overrides once, whoever asks; returns the folder."""
    from hydra import compose, initialize_config_dir

    from activae.config import names, schema

    folders: dict[tuple[str, ...], Path] = {}

    def trained(*overrides: str) -> Path:
        if overrides not in folders:
            schema.register()
            names.register()
            configs = Path(__file__).parents[2] / "configs"
            with initialize_config_dir(str(configs), version_base="1.3"):
                cfg = compose("train", [*SMALL, *overrides])
            folders[overrides] = tmp_path_factory.mktemp("run")
            train(cfg, folders[overrides])
        return folders[overrides]

    return trained


def test_figures_of_the_history_are_scalars(run: Callable[..., Path]) -> None:
    folder = run()
    validation, training = read(folder), read(folder / "train")

    with (folder / HISTORY).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    for tag in ("loss/train", "loss/val", "SE/train", "SE/val", "gap/SE", "lr"):
        events = training if tag.endswith("/train") else validation
        shown = [(event.step, event.value) for event in events.Scalars(tag)]
        assert shown == [(int(row["step"]), pytest.approx(float(row[tag]))) for row in rows]


def test_curves_of_training_data_are_another_run_to_tensorboard_with_a_colour_of_its_own(
    run: Callable[..., Path],
) -> None:
    validation, training = (read(run() / name).Tags()["scalars"] for name in ("", "train"))

    assert set(training) == {"loss/train", "SE/train"}
    assert not set(training) & set(validation)


def test_a_quantity_has_one_tag(run: Callable[..., Path]) -> None:
    tags = read(run()).Tags()["scalars"]

    assert len(tags) == len(set(tags))
    assert {tag for tag in tags if "SE" in tag.split("/") and "val" in tag.split("/")} == {
        "SE/val",  # by epoch
        "best/SE/val",
    }
    metrics = json.loads((run() / "metrics.json").read_text())
    for tag, score in {
        "best/SE/val": metrics["val"]["SE"],
        "test/SE": metrics["test"]["SE"],
        "ratio_to_pca": metrics["ratio_to_pca"],
    }.items():
        (event,) = read(run()).Scalars(tag)
        assert (event.step, event.value) == (20, pytest.approx(score))


def test_a_run_has_one_file_of_events(run: Callable[..., Path]) -> None:
    for folder in (run(), run() / "train"):
        assert len(list(folder.glob("*tfevents*"))) == 1


def test_every_layer_has_gradients_weights_and_activations(run: Callable[..., Path]) -> None:
    events = read(run())
    tags = events.Tags()

    expected = {f"gradient_norm/{layer}" for layer in LAYERS}
    expected |= {f"{kind}/{name}" for kind in ("dead", "saturated") for name in ACTIVATIONS}
    expected |= {"code/effective_rank"}
    assert expected <= set(tags["scalars"])
    histograms = {f"weights/{layer}" for layer in LAYERS}
    histograms |= {f"activations/{name}" for name in ACTIVATIONS} | {"code"}
    assert histograms == set(tags["histograms"])
    for tag in expected:
        assert [event.step for event in events.Scalars(tag)] == [4, 8, 20]
    for tag in histograms:
        assert [event.step for event in events.Histograms(tag)] == [4, 8, 20]


def test_diagnostics_have_values_that_make_sense(run: Callable[..., Path]) -> None:
    events = read(run())

    for tag in events.Tags()["scalars"]:
        values = [event.value for event in events.Scalars(tag)]
        if tag.startswith(("dead/", "saturated/")):
            assert all(0 <= value <= 1 for value in values), tag
        elif tag.startswith("gradient_norm/"):
            assert all(value > 0 for value in values), tag
        elif tag == "code/effective_rank":
            assert all(1 < value <= 32 for value in values), tag


def test_pictures_show_originals_above_reconstructions(run: Callable[..., Path]) -> None:
    from PIL import Image

    events = read(run())

    assert {"reconstructions", "reconstructions/test"} == set(events.Tags()["images"])
    assert [event.step for event in events.Images("reconstructions")] == [4, 8, 20]
    (last,) = events.Images("reconstructions/test")
    picture = np.asarray(Image.open(io.BytesIO(last.encoded_image_string)).convert("L"))
    # 16 digits in rows of 8: each of 8 x 8 px enlarged to 48 and framed, in pairs.
    assert picture.shape == (2 * (2 * 50 + 3), 8 * 50)
    assert picture.std() > 20


def test_vectors_have_no_pictures(run: Callable[..., Path]) -> None:
    assert read(run(*VECTORS)).Tags()["images"] == []


def test_charts_of_several_curves_are_laid_out(run: Callable[..., Path]) -> None:
    assert "custom_scalars__config__" in read(run()).Tags()["tensors"]


def test_the_projector_has_codes_labels_and_thumbnails(run: Callable[..., Path]) -> None:
    from PIL import Image

    folder = run()
    (tensors,) = folder.rglob("tensors.tsv")
    (labels,) = folder.rglob("metadata.tsv")
    (sprite,) = folder.rglob("sprite.png")

    assert np.loadtxt(tensors, delimiter="\t").shape == (50, 32)
    assert len(labels.read_text().splitlines()) == 50
    assert set(labels.read_text().split()) <= set("0123456789")
    with Image.open(sprite) as thumbnails:
        assert thumbnails.size == (8 * 8, 8 * 8)  # 50 of them in 8 rows of 8
    config = (folder / "projector_config.pbtxt").read_text()
    assert str(tensors.relative_to(folder)) in config
    assert "metadata.tsv" in config
    assert "sprite.png" in config


def test_the_projector_of_unlabelled_vectors_has_codes_alone(run: Callable[..., Path]) -> None:
    folder = run(*VECTORS)

    assert len(list(folder.rglob("tensors.tsv"))) == 1
    assert not list(folder.rglob("metadata.tsv"))
    assert not list(folder.rglob("sprite.png"))


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_a_run_on_images_of_any_number_of_channels_is_shown(
    run: Callable[..., Path], tmp_path: Path, channels: int
) -> None:
    file = tmp_path / "images.npy"
    np.save(file, np.random.default_rng(0).normal(size=(60, channels, 8, 8)))

    folder = run("data=array", f"data.path={file}", "encoding.dim=2", "data.train_fraction=1")

    assert (folder / "DONE").read_text() == "completed\n"
    assert read(folder).Tags()["images"] == ["reconstructions", "reconstructions/test"]
    assert len(list(folder.rglob("sprite.png"))) == 1


@pytest.mark.parametrize("label", ["two\nlines", "", "with\ta tab", "  ", "a\u2028b", "a\rb"])
def test_the_projector_has_a_line_for_each_label(
    run: Callable[..., Path], tmp_path: Path, label: str
) -> None:
    file = tmp_path / "labelled.csv"
    with file.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["a", "b", "c", "y"])
        rows.writerows([0.1 * i, i % 7, i % 5, (label, "one")[i % 2]] for i in range(120))
    overrides = ["data=array", f"data.path={file}", "data.source.label_column=y"]

    folder = run(*overrides, "encoding.dim=2", "data.train_fraction=1")

    (tensors,) = folder.rglob("tensors.tsv")
    (labels,) = folder.rglob("metadata.tsv")
    lines = labels.read_text().splitlines()
    assert len(lines) == len(tensors.read_text().splitlines())
    assert all(line.strip() and "\t" not in line for line in lines)


@pytest.mark.parametrize("drawn", ["add_image", "add_embedding"])
def test_a_picture_that_fails_loses_no_run(
    compose: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    drawn: str,
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(SummaryWriter, drawn, fail)

    metrics = train(compose(*SMALL), tmp_path / "run")

    assert json.loads((tmp_path / "run/metrics.json").read_text()) == metrics
    assert (tmp_path / "run/DONE").exists()
    assert "scores are not affected" in caplog.text
    assert "no space left on device" in caplog.text


def test_nothing_but_events_and_projector_files_is_added(run: Callable[..., Path]) -> None:
    names = {path.name.split(".")[0] for path in run().iterdir()}

    assert names == {
        "DONE",
        "checkpoints",
        "config",
        "history",
        "metrics",
        "events",
        "projector_config",
        "train",
        "00020",
    }


def test_looking_changes_nothing(run: Callable[..., Path]) -> None:
    """Weights, order and random numbers are those of a run without TensorBoard."""
    shown, plain = run("activation=rrelu"), run("activation=rrelu", "logger=minimal")

    def figures(folder: Path) -> list[list[str]]:
        with (folder / HISTORY).open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        return [[value for key, value in row.items() if key != "seconds"] for row in rows]

    assert figures(shown) == figures(plain)


def test_everything_that_costs_can_be_left_out(run: Callable[..., Path]) -> None:
    folder = run("logger.snapshots=0", "logger.images=0", "logger.projector_samples=0")
    tags = read(folder).Tags()

    assert tags["images"] == tags["histograms"] == []
    assert "SE/val" in tags["scalars"]
    assert not list(folder.rglob("tensors.tsv"))


@pytest.mark.parametrize(
    ("epochs", "snapshots", "expected"),
    [
        (50, 0, set()),
        (50, 1, {49}),
        (50, 2, {0, 49}),
        (100, 3, {0, 9, 99}),
        (1, 10, {0}),
        (3, 10, {0, 1, 2}),
    ],
)
def test_snapshots_lie_closer_together_early(
    epochs: int, snapshots: int, expected: set[int]
) -> None:
    assert snapshot_epochs(epochs, snapshots) == expected


@pytest.mark.parametrize("epochs", [1, 7, 50, 1234])
def test_snapshots_are_epochs_of_the_run_and_not_too_many(epochs: int) -> None:
    chosen = snapshot_epochs(epochs, 10)

    assert len(chosen) <= 10
    assert {0, epochs - 1} <= chosen <= set(range(epochs))


@pytest.mark.parametrize(
    ("chosen", "in_a_sweep", "expected"),
    [("null", False, 10), ("null", True, 2), ("5", True, 5), ("0", False, 0)],
)
def test_a_run_of_a_sweep_shows_less_unless_it_is_told(
    chosen: str, in_a_sweep: bool, expected: int, compose: Compose, tmp_path: Path
) -> None:
    cfg = settle(compose("trainer=cpu", f"logger.snapshots={chosen}"))

    *_, events = Recorders(in_a_sweep=in_a_sweep).callbacks(cfg, tmp_path)
    (logger,) = Recorders(in_a_sweep=in_a_sweep).loggers(cfg, tmp_path, 0)

    assert isinstance(events, TensorBoardLog)
    assert isinstance(logger, EventLogger)
    assert events.snapshots == expected
    assert events.alone != in_a_sweep
    logger.writer_of("SE/train").add_scalar("SE/train", 1.0)
    logger.finalize("success")
    assert (tmp_path / "train").exists() != in_a_sweep
