"""Images: torchvision's files, digits, patches of photographs, and noise."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor
from torchvision import datasets

from activae.data import digits, natural_patches, random_noise, torchvision_images
from activae.errors import ConfigError, DataError

Write = Callable[[str], dict[str, NDArray[np.uint8]]]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise URLError("no route to host")

    for module in (datasets.mnist, datasets.cifar):
        monkeypatch.setattr(module, "download_and_extract_archive", refuse)
    monkeypatch.setattr(datasets.utils, "_get_redirect_url", refuse)  # SVHN's first step


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_the_mnist_family_is_read_as_grey_images(
    name: str, mnist_files: Write, tmp_path: Path
) -> None:
    written = mnist_files(name)
    source = torchvision_images(name, tmp_path)
    assert source.test is not None
    assert source.train.dtype == torch.uint8
    assert np.array_equal(source.train.numpy(), written["train"][:, None])
    assert np.array_equal(source.test.numpy(), written["t10k"][:, None])
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [i % 10 for i in range(12)]
    assert source.value_range == (0, 255)
    assert len(source.class_names or ()) == 10


def test_cifar10_is_read_with_channels_first(
    cifar_files: dict[str, NDArray[np.uint8]], tmp_path: Path
) -> None:
    source = torchvision_images("CIFAR10", str(tmp_path))
    assert source.test is not None
    assert source.sample_shape == (3, 32, 32)
    assert np.array_equal(source.train.numpy(), cifar_files["train"])
    assert np.array_equal(source.test.numpy(), cifar_files["test"])
    assert source.train.is_contiguous()
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [0, 1, 2] * 5
    assert source.class_names == ("plane", "car", "bird", "cat")


@pytest.mark.parametrize("split", ["balanced", "letters"])
def test_emnist_is_read_upright(split: str, emnist_files: Write, tmp_path: Path) -> None:
    written = emnist_files(split)
    source = torchvision_images("EMNIST", tmp_path, split)
    assert source.test is not None
    assert np.array_equal(source.train.numpy(), written["train"].transpose(0, 2, 1)[:, None])
    assert np.array_equal(source.test.numpy(), written["test"].transpose(0, 2, 1)[:, None])
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [i % 10 for i in range(12)]
    assert len(source.class_names or ()) == {"balanced": 47, "letters": 27}[split]


@pytest.mark.parametrize("split", [None, "", "capitals"])
def test_a_split_of_emnist_that_is_none_lists_the_choices(split: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.split=.*choose one of byclass, .*mnist"):
        torchvision_images("EMNIST", tmp_path, split)


def test_a_split_of_another_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.split=letters: MNIST has no such splits"):
        torchvision_images("MNIST", tmp_path, "letters")


def test_svhn_is_read_with_channels_first(
    svhn_files: dict[str, NDArray[np.uint8]], tmp_path: Path
) -> None:
    source = torchvision_images("SVHN", tmp_path)
    assert source.test is not None
    assert np.array_equal(source.train.numpy(), svhn_files["train"])
    assert np.array_equal(source.test.numpy(), svhn_files["test"])
    assert source.train.is_contiguous()
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    assert source.class_names == tuple("0123456789")


def test_a_damaged_svhn_file_names_the_folder(
    svhn_files: dict[str, NDArray[np.uint8]], tmp_path: Path
) -> None:
    (tmp_path / "SVHN" / "test_32x32.mat").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"SVHN cannot be read from .*SVHN: .*delete this folder"):
        torchvision_images("SVHN", tmp_path)


def test_an_unknown_name_lists_the_choices(tmp_path: Path) -> None:
    message = (
        r"data\.source\.name=STL10: choose one of MNIST, FashionMNIST, KMNIST, CIFAR10, EMNIST"
    )
    with pytest.raises(ConfigError, match=message):
        torchvision_images("STL10", tmp_path)


@pytest.mark.parametrize("name", ["MNIST", "CIFAR10", "SVHN"])
def test_a_failed_download_says_how_to_go_on(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        torchvision_images(name, tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "no route to host" in message
    assert "data=digits, which needs no download" in message
    assert "data.root" in message
    assert "\n" not in message


@pytest.mark.parametrize("left", [0, 3, 16, 500])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_file_cut_short_is_reported_with_its_folder(
    file: str, left: int, mnist_files: Write, tmp_path: Path
) -> None:
    mnist_files("MNIST")
    damaged = tmp_path / "MNIST" / "raw" / file
    damaged.write_bytes(damaged.read_bytes()[: min(left, damaged.stat().st_size - 1)])
    with pytest.raises(DataError) as caught:
        torchvision_images("MNIST", tmp_path)
    assert f"MNIST cannot be read from {tmp_path / 'MNIST'}" in str(caught.value)
    assert "delete this folder and run again" in str(caught.value)


def test_a_changed_cifar_file_is_never_unpickled(
    cifar_files: dict[str, NDArray[np.uint8]], tmp_path: Path
) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    (folder / "data_batch_2").write_bytes(b"cos\nabort\n(tR.")
    with pytest.raises(DataError, match="delete this folder and run again"):
        torchvision_images("CIFAR10", tmp_path)


def test_labels_that_do_not_match_the_images_are_reported_with_the_folder(
    mnist_files: Write, tmp_path: Path
) -> None:
    mnist_files("MNIST")
    raw = tmp_path / "MNIST" / "raw"
    (raw / "train-labels-idx1-ubyte").write_bytes((raw / "t10k-labels-idx1-ubyte").read_bytes())
    with pytest.raises(DataError, match=r"12 training samples but labels of shape \[4\]"):
        torchvision_images("MNIST", tmp_path)


@pytest.mark.mnist
def test_the_real_mnist_has_the_known_statistics() -> None:
    root = Path(os.environ.get("ACTIVAE_DATA", "data"))
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST below {root}")
    source = torchvision_images("MNIST", root)
    assert source.test is not None
    assert source.train.shape == (60_000, 1, 28, 28)
    assert source.test.shape == (10_000, 1, 28, 28)
    pixels = source.train.float() / 255
    assert pixels.mean() == pytest.approx(0.1307, abs=1e-4)
    assert pixels.std() == pytest.approx(0.3081, abs=1e-4)


def test_digits_are_grey_images_with_seventeen_levels() -> None:
    source = digits()
    assert source.train.shape == (1797, 1, 8, 8)
    assert source.train.dtype == torch.uint8
    assert source.value_range == (0, 16)
    assert source.train.aminmax() == (0, 16)
    assert source.test is None


def test_digits_are_those_of_scikit_learn() -> None:
    source, theirs = digits(), load_digits()
    assert source.train_labels is not None
    assert np.array_equal(source.train[:, 0], theirs.images)
    assert np.array_equal(source.train_labels, theirs.target)


def test_digits_are_labelled() -> None:
    source = digits()
    assert source.train_labels is not None
    assert source.train_labels.dtype == torch.int64
    assert source.train_labels.bincount().min() > 170
    assert source.class_names == tuple("0123456789")


def test_patches_are_grey_or_coloured_squares_with_a_test_set() -> None:
    grey, colour = (natural_patches(12, 40, channels, seed=0) for channels in (1, 3))

    assert grey.test is not None
    assert (grey.train.shape, grey.test.shape) == ((40, 1, 12, 12), (10, 1, 12, 12))
    assert colour.train.shape == (40, 3, 12, 12)
    assert grey.train.dtype == torch.uint8
    assert grey.value_range == (0, 255)
    assert grey.class_names == ("china", "flower")
    assert grey.train_labels is not None
    assert grey.train_labels.bincount().tolist() == [20, 20]


def test_the_seed_says_which() -> None:
    first, same, other = (natural_patches(8, 20, 1, seed=seed) for seed in (0, 0, 1))

    assert torch.equal(first.train, same.train)
    assert not torch.equal(first.train, other.train)


def columns_of(patch: Tensor, photograph: Tensor) -> list[int]:
    """Where in the photograph [C, H, W] the patch stands: its left edges."""
    size = patch.shape[-1]
    windows = photograph.unfold(1, size, 1).unfold(2, size, 1)
    found = (windows == patch[:, None, None]).all(dim=0).all(-1).all(-1)
    return found.nonzero()[:, 1].tolist()


def test_test_patches_are_from_a_strip_of_their_own() -> None:
    source = natural_patches(12, 4, 3, seed=3)
    photographs = [torch.tensor(image).movedim(2, 0) for image in load_sample_images().images]
    assert source.test is not None
    assert source.train_labels is not None
    assert source.test_labels is not None

    for patch, label in zip(source.train, source.train_labels, strict=True):
        assert min(columns_of(patch, photographs[label])) + 12 <= 512
    for patch, label in zip(source.test, source.test_labels, strict=True):
        assert max(columns_of(patch, photographs[label])) >= 512


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 1}, r"data\.source\.size=1: give 2 to 128"),
        ({"size": 129}, r"data\.source\.size=129"),
        ({"number": 1}, r"data\.source\.number=1: give 2"),
        ({"channels": 2}, r"data\.source\.channels=2"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        natural_patches(**{"size": 12, "number": 20, "channels": 1, "seed": 0} | changes)


def test_noise_is_uniform_on_the_unit_interval() -> None:
    source = random_noise(samples=1000, features=784, seed=0)
    assert source.train.shape == (1000, 784)
    assert source.value_range == (0, 1)
    assert source.train.mean() == pytest.approx(0.5, abs=2e-3)
    assert source.train.var() == pytest.approx(1 / 12, abs=1e-3)
    assert not source.is_image


def test_the_seed_decides_the_noise_and_the_global_generator_does_not() -> None:
    first = random_noise(10, 4, seed=1).train
    torch.rand(3)
    assert torch.equal(first, random_noise(10, 4, seed=1).train)
    assert not torch.equal(first, random_noise(10, 4, seed=2).train)


def test_the_note_says_what_share_of_the_variance_a_code_can_keep() -> None:
    features, dim = 40, 10
    source = random_noise(samples=20_000, features=features, seed=0)
    assert f"k/{features} of the variance" in source.note
    seen, unseen = source.train.split(10_000)
    axes = torch.linalg.eigh(seen.T.cov()).eigenvectors[:, -dim:]
    centred = unseen - seen.mean(0)
    kept = (centred @ axes).square().sum() / centred.square().sum()
    assert kept == pytest.approx(dim / features, abs=0.01)


@pytest.mark.parametrize(("key", "value"), [("samples", 1), ("features", 0)])
def test_sizes_that_are_too_small_name_their_key(key: str, value: int) -> None:
    sizes = {"samples": 10, "features": 4} | {key: value}
    with pytest.raises(ConfigError, match=rf"data\.source\.{key}={value}"):
        random_noise(**sizes, seed=0)
