"""Image data sets that torchvision downloads, read as whole arrays."""

from __future__ import annotations

import pickle
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
}

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


def torchvision_images(name: str, root: str | Path) -> Source:
    """MNIST, FashionMNIST, KMNIST (`[1, 28, 28]`) or CIFAR10 (`[3, 32, 32]`), uint8, 0 to 255.

    Missing files are downloaded to `root` on first use. The test set is the one that the
    authors made.

    Args:
        name: torchvision's name of the data set.
        root: torchvision's data folder, the one that holds or will hold `MNIST/raw` and so on.

    Raises:
        ConfigError: `name` is none of the four.
        DataError: the download fails, or files are damaged.
    """
    if name not in FOLDERS:
        raise ConfigError(f"data.source.name={name}: choose one of {', '.join(FOLDERS)}.")
    from torchvision import datasets

    root = Path(root).expanduser()
    folder = root / FOLDERS[name]
    had_files = any(path.is_file() for path in folder.rglob("*"))
    try:
        train = getattr(datasets, name)(root, train=True, download=True)
        test = getattr(datasets, name)(root, train=False)
        return _source(name, train, test)
    except _READ_ERRORS as error:
        raise DataError(_explain(name, folder, had_files, error)) from error


def _source(name: str, train: Any, test: Any) -> Source:
    return Source(
        name=name,
        train=_channels_first(train.data),
        train_labels=torch.as_tensor(train.targets),
        test=_channels_first(test.data),
        test_labels=torch.as_tensor(test.targets),
        value_range=(0.0, 255.0),
        class_names=tuple(train.classes),
    )


def _channels_first(images: Any) -> Tensor:
    """`[N, H, W]` tensors (MNIST) and `[N, H, W, 3]` arrays (CIFAR) to `[N, C, H, W]`."""
    tensor = torch.as_tensor(images)
    return tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.movedim(3, 1).contiguous()


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
