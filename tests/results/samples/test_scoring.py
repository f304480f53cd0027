"""The figures of samples beside those of reconstructions, real samples and copies."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from activae.data.module import AutoencoderDataModule
from activae.errors import UserError
from activae.results.samples import features
from activae.results.samples.scoring import Reference, SampleScores, Splits, score_samples
from activae.results.samples.told import notes, table

DISTANCES = ("frechet", "kernel", "sliced_w2")
SHARES = ("precision", "recall", "density", "coverage")


def blobs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around four corners, and which corner it is."""
    noise = np.random.default_rng(seed)
    labels = noise.integers(0, 4, n)
    corners = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [0, 0, 3]])
    return corners[labels] + noise.normal(0, 0.5, (n, 3)), labels


def scored(reference: Reference, x: Tensor) -> SampleScores:
    """Of what is drawn from x, with reconstructions that are perfect."""
    return score_samples(reference, lambda n: x[:n], lambda real: real, "mine")


@pytest.fixture(scope="module")
def data() -> AutoencoderDataModule:
    x, labels = blobs(1000)
    return AutoencoderDataModule.from_arrays(x, labels=labels, normalisation="none")


@pytest.fixture(scope="module")
def reference(data: AutoencoderDataModule) -> Reference:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(features.RECIPE, "steps", 200)
        splits = Splits.of(data)
        return Reference.of(splits, splits.features())


@pytest.fixture(scope="module")
def good(reference: Reference) -> SampleScores:
    return scored(reference, torch.from_numpy(blobs(400, seed=1)[0]).float())


def test_a_perfect_generator_scores_as_real_samples_do(good: SampleScores) -> None:
    real = good.beside["real"]

    assert good.n == 200
    for name in (*DISTANCES, *SHARES, "one_nn", "nearest_train"):
        low, high = good.samples[name].low, good.samples[name].high
        assert low is not None
        assert high is not None
        room = high - low
        assert low - room < real[name].value < high + room
    assert good.accuracy is not None
    assert good.accuracy > 0.95
    assert good.samples["label_coverage"].value == 1
    assert good.samples["label_entropy"].value == pytest.approx(log(4), abs=0.05)


def test_copies_of_the_training_set_are_caught_though_their_distances_are_perfect(
    reference: Reference, good: SampleScores
) -> None:
    copied = scored(reference, reference.splits.train[:])

    for found in (copied.samples, copied.beside["copies"]):
        assert found["nearest_train"].value == 0
        assert found["frechet"].value < 2 * good.beside["real"]["frechet"].value
        assert found["coverage"].value > 0.85
    assert good.beside["real"]["nearest_train"].value > 0.8
    text = "\n".join(notes(copied.as_metrics()))
    assert "these samples lie near training samples" in text
    assert "repeat what was trained on" in " ".join(text.split())
    assert "lie near" not in "\n".join(notes(good.as_metrics()))


def test_a_generator_that_knows_one_class_alone_is_told_by_recall_and_labels(
    reference: Reference, good: SampleScores
) -> None:
    x, labels = blobs(1600, seed=2)

    found = scored(reference, torch.from_numpy(x[labels == 1]).float()).samples

    assert found["recall"].value < 0.5
    assert found["coverage"].value < 0.5
    assert found["precision"].value > 0.8
    assert found["label_coverage"].value == 0.25
    assert found["label_entropy"].value < 0.2
    for name in DISTANCES:
        assert found[name].value > 4 * good.samples[name].value


def test_what_gives_the_probabilities_of_pixels_is_perfect_where_pixels_are_drawn() -> None:
    """Grey means lie between the real pictures, and no real picture is grey."""
    noise = torch.Generator().manual_seed(0)

    kinds = torch.rand(4, 12, generator=noise)
    means = kinds[torch.arange(600) % 4]
    drawn = torch.bernoulli(means, generator=noise)
    splits = Splits(drawn[:300], drawn[300:], None, None, lambda x: x, "x", draws_pixels=True)
    found = {
        draws: scored(Reference.of(replace(splits, draws_pixels=draws), splits.features()), means)
        for draws in (True, False)
    }

    assert found[False].samples["one_nn"].value > 0.7
    assert 0.4 < found[True].samples["one_nn"].value < 0.6
    assert found[True].samples["frechet"].value < found[False].samples["frechet"].value / 2


def test_noise_is_told_by_precision(reference: Reference, good: SampleScores) -> None:
    noise = torch.randn(300, 3, generator=torch.Generator().manual_seed(0)) * 6

    found = scored(reference, noise).samples

    assert found["precision"].value < 0.4
    assert found["one_nn"].value > 0.75
    assert found["nearest_train"].value > 3


def test_perfect_reconstructions_are_the_training_samples_they_were_made_of(
    good: SampleScores,
) -> None:
    assert good.beside["reconstructions"] == good.beside["real"]


def test_metrics_are_plain_finite_numbers(good: SampleScores, reference: Reference) -> None:
    found = json.loads(json.dumps(good.as_metrics(), allow_nan=False))

    assert found["frechet"] == good.samples["frechet"].value
    assert found["low"]["frechet"] < found["frechet"] < found["high"]["frechet"]
    assert found["copies"]["nearest_train"] == 0
    assert (found["n"], found["split"], found["sampler"]) == (200, "test", "mine")


def test_the_table_has_80_columns_and_every_figure(good: SampleScores) -> None:
    lines = [*table(good.as_metrics()), *"\n".join(notes(good.as_metrics())).splitlines()]

    assert max(map(len, lines)) <= 80
    named = {line.split("  ")[0]: line for line in lines[1:12]}
    assert named["nearest train"].endswith("0.0000")
    assert f"{good.samples['frechet'].value:.4g}" in named["Frechet distance"]


def test_validation_samples_are_compared_with_by_runs_that_tune(
    data: AutoencoderDataModule,
) -> None:
    splits = Splits.of(data, test=False)

    assert splits.split == "val"
    assert splits.real is data.samples["val"]


def test_pictures_are_compared_on_the_scale_of_their_values() -> None:
    x = np.random.default_rng(0).integers(0, 256, (300, 8, 8)).astype(np.uint8)
    kinds = [
        Splits.of(AutoencoderDataModule.from_arrays(x, normalisation=kind))
        for kind in ("unit_range", "standardise")
    ]
    shown = [each.shown(each.train[:]) for each in kinds]

    assert torch.allclose(*shown, atol=1e-5)
    assert shown[0].max() <= 1
    assert kinds[0].features().labels(shown[0]) is None


def test_samples_that_lie_on_the_training_set_by_nature_have_no_ratio() -> None:
    """Where all real samples are repeats of training samples, nothing is told of copying."""
    x = np.random.default_rng(0).integers(0, 2, (400, 2)).astype(float)
    splits = Splits.of(AutoencoderDataModule.from_arrays(x, normalisation="none"))

    found = scored(Reference.of(splits, splits.features()), splits.train[:]).as_metrics()

    assert found["nearest_train"] is None
    assert table(found)
    assert list(notes(found))


@pytest.mark.parametrize("features_of_it", [1, 2])
def test_data_of_one_dimension_are_scored_as_others(features_of_it: int) -> None:
    x = np.random.default_rng(0).normal(size=(400, features_of_it))
    splits = Splits.of(AutoencoderDataModule.from_arrays(x, normalisation="none"))

    found = scored(Reference.of(splits, splits.features()), splits.real[:]).samples

    assert found["frechet"].value < 1e-4
    assert found["sliced_w2"].value == 0


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (5, r"n=5: give 40 to 200: as many are compared with those of test \(200\)"),
        (201, r"n=201: give 40 to 200"),
        (True, "n=True: give 40 to 200"),
    ],
)
def test_a_number_of_samples_that_cannot_be_is_named(
    n: int, said: str, data: AutoencoderDataModule
) -> None:
    splits = Splits.of(data)
    with pytest.raises(UserError, match=said):
        Reference.of(splits, splits.features(), n)


def test_no_more_training_samples_are_looked_through_than_memory_holds(
    data: AutoencoderDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activae.results.samples.scoring._MOST_VALUES", 3 * 60)
    splits = Splits.of(data)

    found = Reference.of(splits, splits.features())

    assert found.n == len(found.among) == 60


def test_too_few_data_are_named() -> None:
    x = np.random.default_rng(0).normal(size=(100, 2))
    splits = Splits.of(AutoencoderDataModule.from_arrays(x))
    with pytest.raises(UserError, match="70 training samples and 20 of test are too few"):
        Reference.of(splits, splits.features())


def test_samples_that_are_not_finite_are_named(reference: Reference) -> None:
    with pytest.raises(UserError, match="samples of this run are not all finite"):
        scored(reference, torch.full((200, 3), torch.nan))


def test_a_figure_has_as_many_decimals_as_its_interval(good: SampleScores) -> None:
    found = good.as_metrics()
    for name, value, low, high in (
        ("precision", 1.0, 0.9874, 1.0),
        ("recall", 0.9944, 0.9799, 0.9985),
        ("nearest_train", 1.2, 0.95, 1.4567),
        ("frechet", 12.8, 9.25, 13.41),
    ):
        found[name], found["low"][name], found["high"][name] = value, low, high

    told = " ".join("\n".join(table(found)).split())

    assert "precision 1.0000 [0.9874, 1.0000]" in told
    assert "recall 0.9944 [0.9799, 0.9985]" in told
    assert "nearest train 1.200 [0.950, 1.457]" in told
    assert "Frechet distance 12.80 [9.25, 13.41]" in told


def test_figures_of_any_size_fit_the_table(good: SampleScores) -> None:
    found = good.as_metrics()
    for part in (found, found["low"], found["high"], *(found[name] for name in ("real", "copies"))):
        part["kernel"], part["frechet"] = 12345678.9, 98765.4

    lines = table(found)

    assert max(map(len, lines)) <= 80
    assert "[98765, 98765]" in lines[1]
