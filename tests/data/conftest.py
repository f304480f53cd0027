"""Tiny data sets in the files that torchvision reads."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

Images = NDArray[np.uint8]


def write_idx(path: Path, values: Images) -> None:
    """The MNIST family's format: magic number with type 8 (uint8) and rank, sizes, bytes."""
    header = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + values.tobytes())


def some_images(seed: int, *shape: int) -> Images:
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    images.flat[:2] = 0, 255
    return images


@pytest.fixture
def mnist_files(tmp_path: Path) -> Callable[[str], dict[str, Images]]:
    """Writes 12 training and 4 test images of a family member below tmp_path; returns them."""

    def write(name: str) -> dict[str, Images]:
        raw = tmp_path / name / "raw"
        parts = {"train": some_images(0, 12, 28, 28), "t10k": some_images(1, 4, 28, 28)}
        for part, images in parts.items():
            write_idx(raw / f"{part}-images-idx3-ubyte", images)
            labels = np.arange(len(images), dtype=np.uint8) % 10
            write_idx(raw / f"{part}-labels-idx1-ubyte", labels)
        return parts

    return write


@pytest.fixture
def cifar_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Images]:
    """Writes 5 batches of 3 training images and 4 test images, with checksums that fit."""
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name: str, content: dict[str, object]) -> str:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    def batch(images: Images) -> dict[str, object]:
        return {"data": images.reshape(len(images), -1), "labels": list(range(len(images)))}

    train, test = some_images(2, 15, 3, 32, 32), some_images(3, 4, 3, 32, 32)
    train_names = [f"data_batch_{number}" for number in range(1, 6)]
    sums = [
        [name, write(name, batch(part))]
        for name, part in zip(train_names, np.split(train, 5), strict=True)
    ]
    monkeypatch.setattr(CIFAR10, "train_list", sums)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", write("test_batch", batch(test))]])
    meta = write("batches.meta", {"label_names": ["plane", "car", "bird", "cat"]})
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": meta})
    return {"train": train, "test": test}


@pytest.fixture
def emnist_files(tmp_path: Path) -> Callable[[str], dict[str, Images]]:
    """Writes 12 training and 4 test images of a split of EMNIST, lying on their sides."""

    def write(split: str) -> dict[str, Images]:
        raw = tmp_path / "EMNIST" / "raw"
        parts = {"train": some_images(4, 12, 28, 28), "test": some_images(5, 4, 28, 28)}
        for part, images in parts.items():
            write_idx(raw / f"emnist-{split}-{part}-images-idx3-ubyte", images)
            labels = np.arange(len(images), dtype=np.uint8) % 10
            write_idx(raw / f"emnist-{split}-{part}-labels-idx1-ubyte", labels)
        return parts

    return write


@pytest.fixture
def svhn_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Images]:
    """Writes 12 training and 4 test images, with checksums that fit; the digit 0 is labelled 10."""
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    parts = {"train": some_images(6, 12, 3, 32, 32), "test": some_images(7, 4, 3, 32, 32)}
    (tmp_path / "SVHN").mkdir()
    entries = {}
    for part, images in parts.items():
        file = tmp_path / "SVHN" / f"{part}_32x32.mat"
        labels = np.arange(len(images), dtype=np.uint8) % 10 + 1
        savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": labels[:, None]})
        md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        entries[part] = ["http://localhost/none", file.name, md5]
    monkeypatch.setattr(SVHN, "split_list", entries)
    return parts
