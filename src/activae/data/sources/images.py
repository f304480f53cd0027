"""Image data sets that torchvision downloads, read as whole arrays."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from activae.data.source import Source
from activae.errors import ConfigError, DataError

# Folder below the root that torchvision keeps each data set in.
FOLDERS = {
    "MNIST": "MNIST",
    "FashionMNIST": "FashionMNIST",
    "KMNIST": "KMNIST",
    "CIFAR10": "cifar-10-batches-py",
    "EMNIST": "EMNIST",
    "SVHN": "SVHN",
}
EMNIST_SPLITS = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")

# Whatever torchvision lets through on a lost connection or a damaged file.
_READ_ERRORS = (
    RuntimeError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AssertionError,
    EOFError,
    pickle.UnpicklingError,
)


def torchvision_images(name: str, root: str | Path, split: str | None = None) -> Source:
    """MNIST, FashionMNIST, KMNIST, EMNIST (`[1, 28, 28]`), CIFAR10 or SVHN (`[3, 32, 32]`), uint8.

    Values go from 0 to 255. Missing files are downloaded to `root` on first use. The test set is
    the one that the authors made. EMNIST's images, transposed in its files, are upright.

    Args:
        name: torchvision's name of the data set.
        root: torchvision's data folder, the one that holds or will hold `MNIST/raw` and so on.
        split: of EMNIST, and of no other: byclass, bymerge, balanced, letters, digits or mnist.

    Raises:
        ConfigError: `name` or `split` is none of these.
        DataError: the download fails, or files are damaged.
    """
    if name not in FOLDERS:
        raise ConfigError(f"data.source.name={name}: choose one of {', '.join(FOLDERS)}.")
    _check_split(name, split)
    root = Path(root).expanduser()
    folder = root / FOLDERS[name]
    had_files = any(path.is_file() for path in folder.rglob("*"))
    try:
        return _source(name, *_load(name, root, split))
    except _READ_ERRORS as error:
        raise DataError(_explain(name, folder, had_files, error)) from error


def _check_split(name: str, split: str | None) -> None:
    if name == "EMNIST" and split not in EMNIST_SPLITS:
        raise ConfigError(f"data.source.split={split}: choose one of {', '.join(EMNIST_SPLITS)}.")
    if name != "EMNIST" and split is not None:
        raise ConfigError(f"data.source.split={split}: {name} has no such splits; leave it out.")


def _load(name: str, root: Path, split: str | None) -> tuple[Any, Any]:
    """torchvision's training and test set."""
    from torchvision import datasets

    make = getattr(datasets, name)
    if name == "SVHN":
        folder = root / FOLDERS[name]
        return make(folder, split="train", download=True), make(folder, split="test", download=True)
    if name == "EMNIST":
        make = partial(make, split=split)
    return make(root, train=True, download=True), make(root, train=False)


def _source(name: str, train: Any, test: Any) -> Source:
    return Source(
        name=name,
        train=_upright(name, _channels_first(train.data)),
        train_labels=_labels(train),
        test=_upright(name, _channels_first(test.data)),
        test_labels=_labels(test),
        value_range=(0.0, 255.0),
        class_names=tuple(getattr(train, "classes", map(str, range(10)))),  # SVHN's are digits
    )


def _labels(part: Any) -> Tensor:
    return torch.as_tensor(part.targets if hasattr(part, "targets") else part.labels)


def _upright(name: str, images: Tensor) -> Tensor:
    return images.transpose(2, 3).contiguous() if name == "EMNIST" else images


def _channels_first(images: Any) -> Tensor:
    """`[N, H, W]` (MNIST), `[N, H, W, 3]` (CIFAR) or `[N, 3, H, W]` (SVHN) to `[N, C, H, W]`."""
    tensor = torch.as_tensor(images)
    if tensor.ndim == 3:
        return tensor.unsqueeze(1)
    return (tensor if tensor.shape[1] == 3 else tensor.movedim(3, 1)).contiguous()


def _explain(name: str, folder: Path, had_files: bool, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    remedy = (
        "Its files are damaged or incomplete: delete this folder and run again to download anew."
        if had_files
        else "Check the connection and run again, copy the files there from another machine, or "
        "choose data=digits, which needs no download."
    )
    return (
        f"{name} cannot be read from {folder}: {reason}. {remedy} data.root (or the environment "
        "variable ACTIVAE_DATA) names the folder above it."
    )
