"""The space in which samples are compared: made once for a data set, kept as plain tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from activae.errors import DataError
from activae.results.samples import features
from activae.results.samples.features import FeatureNet, own_features


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(features.RECIPE, "steps", 60)


def bars(n: int = 200) -> tuple[Tensor, Tensor]:
    """Images of a horizontal or a vertical bar, with labels 3 and 7."""
    noise = torch.Generator().manual_seed(0)
    x = torch.rand(n, 1, 8, 8, generator=noise) / 4
    labels = torch.arange(n) % 2 * 4 + 3
    x[labels == 3, :, 3] += 1
    x[labels == 7, :, :, 3] += 1
    return x, labels


def test_a_classifier_learns_the_labels_and_says_them_by_their_own_numbers() -> None:
    x, labels = bars()

    found = own_features(x[:100], labels[:100])

    told = found.labels(x[100:])
    assert told is not None
    assert (told == labels[100:]).float().mean() > 0.95


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 33, 20), (1, 3, 70), (5,), (1,)])
def test_features_of_any_shape_are_standardised(shape: tuple[int, ...], labelled: bool) -> None:
    x = torch.rand(150, *shape, generator=torch.Generator().manual_seed(1)) * 300 + 1000
    labels = (x.flatten(1)[:, 0] > 1150).long() if labelled else None

    points = own_features(x, labels).points(x)

    assert points.shape == (150, 64)
    assert points.mean(0).abs().max() < 1e-3
    spread = points.std(0, correction=0)
    assert ((spread - 1).abs() < 1e-3).logical_or(spread < 1e-3).all()


def test_without_labels_or_with_one_alone_it_is_drawn_and_not_trained() -> None:
    x, labels = bars()

    found = [own_features(x, given) for given in (None, torch.zeros_like(labels))]

    assert [each.labels(x) for each in found] == [None, None]
    assert found[0].points(x).equal(found[1].points(x))
    assert not found[0].points(x).equal(own_features(x, labels).points(x))


def test_the_same_recipe_and_data_give_the_same_features_bit_for_bit() -> None:
    x, labels = bars()
    torch.manual_seed(5)
    first = own_features(x, labels)
    torch.manual_seed(6)
    again = own_features(x, labels)

    assert first.hash == again.hash
    assert first.points(x).equal(again.points(x))


def test_the_hash_tells_recipe_data_and_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = bars(60)
    other = x.clone()
    other[0, 0, 0, 0] += 1e-3
    hashes = {own_features(*given).hash for given in ((x, labels), (other, labels), (x, None))}
    hashes.add(own_features(x, labels.flip(0)).hash)
    monkeypatch.setitem(features.RECIPE, "lr", 1e-3)
    hashes.add(own_features(x, labels).hash)

    assert len(hashes) == 5


def test_one_that_was_made_is_read_and_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, labels = bars()
    made = own_features(x, labels, tmp_path)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(features, "_train", None)

    read = own_features(x, labels, tmp_path)

    assert file.name == f"features-{made.hash}.pt"
    assert read.points(x).equal(made.points(x))
    told = read.labels(x)
    assert told is not None
    assert told.equal(made.labels(x))
    kept = torch.load(file, weights_only=True)
    assert all(isinstance(value, Tensor) for value in kept.values())


def test_a_file_that_is_damaged_or_of_another_network_is_named(tmp_path: Path) -> None:
    x, labels = bars(60)
    own_features(x, labels, tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = bytes([content[middle] ^ 1])
    for bad in (b"", content[:400], content[:middle] + flipped + content[middle + 1 :]):
        file.write_bytes(bad)
        with pytest.raises(DataError, match=f"{file.name}: is damaged; remove it"):
            own_features(x, labels, tmp_path)
    torch.save(FeatureNet((2,), 2).state_dict(), file)
    with pytest.raises(DataError, match="is damaged"):
        own_features(x, labels, tmp_path)
