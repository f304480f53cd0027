"""Images: those torchvision downloads, scikit-learn's digits, patches of photographs, and noise."""

from __future__ import annotations

import gzip
import pickle
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from activae.data.binarising import binarised
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
PHOTOGRAPHS = ("china", "flower")
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


# Weights of red, green and blue in brightness (ITU-R BT.601), as Pillow takes them.
LUMA = (0.299, 0.587, 0.114)
TEST_SHARE = 0.2  # of each photograph, at its right-hand side


def torchvision_images(
    name: str, root: str | Path, split: str | None = None, binarise: str | None = None
) -> Source:
    """MNIST, FashionMNIST, KMNIST, EMNIST (`[1, 28, 28]`), CIFAR10 or SVHN (`[3, 32, 32]`), uint8.

    Values go from 0 to 255. Missing files are downloaded to `root` on first use. The test set is
    the one that the authors made. EMNIST's images, transposed in its files, are upright.

    Args:
        name: torchvision's name of the data set.
        root: torchvision's data folder, the one that holds or will hold `MNIST/raw` and so on.
        split: of EMNIST, and of no other: byclass, bymerge, balanced, letters, digits or mnist.
        binarise: static or dynamic: pixels drawn as 0 or 1 (`activae.data.binarising`).

    Raises:
        ConfigError: `name`, `split` or `binarise` is unknown.
        DataError: the download fails, or files are damaged.
    """
    if name not in FOLDERS:
        raise ConfigError(f"data.source.name={name}: choose one of {', '.join(FOLDERS)}.")
    _check_split(name, split)
    root = Path(root).expanduser()
    folder = root / FOLDERS[name]
    had_files = any(path.is_file() for path in folder.rglob("*"))
    try:
        source = _source(name, *_load(name, root, split))
    except _READ_ERRORS as error:
        raise DataError(_explain(name, folder, had_files, error)) from error
    return binarised(source, binarise)


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
        units="intensity of 8 bits",
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


def digits(binarise: str | None = None) -> Source:
    """Scikit-learn's handwritten digits: 1797 grey images `[1, 8, 8]` with values 0 to 16.

    They are the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and
    Kaynak, 1998) and bring no test split of their own. binarise: as for torchvision's images.
    """
    with gzip.open(_of_scikit_learn("data/digits.csv.gz"), "rt") as file:
        rows = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.uint8))
    source = Source(
        name="digits",
        train=rows[:, :-1].reshape(-1, 1, 8, 8),
        train_labels=rows[:, -1].long(),
        value_range=(0.0, 16.0),
        units="inked pixels of 16",
        class_names=tuple(map(str, range(10))),
    )
    return binarised(source, binarise)


def _of_scikit_learn(name: str) -> Path:
    """A file of scikit-learn's own data sets.

    It is found without importing scikit-learn, which brings pandas and most of scipy: that takes
    longer than to train on the digits.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "datasets" / name


def natural_patches(
    size: int, number: int, channels: int, seed: int, binarise: str | None = None
) -> Source:
    """Square patches at random places of two photographs, uint8 `[C, size, size]`, 0 to 255.

    The photographs are scikit-learn's china.jpg and flower.jpg, 427 x 640 pixels each; half of the
    patches are from either. Test patches, a quarter as many, lie wholly in the right-hand fifth of
    a photograph and the others wholly to the left of it, so that no pixel is in both. Training and
    validation patches may overlap. What codes of such patches look like is a classic question:
    Olshausen & Field 1996, Emergence of simple-cell receptive field properties by learning a sparse
    code for natural images (patches of 12 and 16 pixels, whitened; these are not).

    Args:
        size: of a patch, in pixels.
        number: of patches for training and validation, at least 2.
        channels: 1 (brightness) or 3 (RGB).
        seed: of the places; the same seed gives the same patches.
        binarise: as for torchvision's images.

    Raises:
        ConfigError: `binarise` is unknown, a number is out of range, or patches are too large for
            the test region.
    """
    photographs = _photographs(channels)
    width = photographs[0].shape[2]
    seam = round(width * (1 - TEST_SHARE))
    for key, value, smallest, largest in (
        ("size", size, 2, width - seam),
        ("number", number, 2, 10**7),
    ):
        if not smallest <= value <= largest:
            raise ConfigError(f"data.source.{key}={value}: give {smallest} to {largest}.")
    generator = torch.Generator().manual_seed(seed)
    left = [photograph[:, :, :seam] for photograph in photographs]
    right = [photograph[:, :, seam:] for photograph in photographs]
    train, train_labels = _patches(left, number, size, generator)
    test, test_labels = _patches(right, max(2, number // 4), size, generator)
    source = Source(
        name="patches",
        train=train,
        train_labels=train_labels,
        test=test,
        test_labels=test_labels,
        value_range=(0.0, 255.0),
        units="intensity of 8 bits",
        class_names=PHOTOGRAPHS,
    )
    return binarised(source, binarise)


def _photographs(channels: int) -> list[Tensor]:
    """Each uint8 [C, H, W]."""
    if channels not in (1, 3):
        raise ConfigError(f"data.source.channels={channels}: give 1 (grey) or 3 (RGB).")
    from PIL import Image

    files = [_of_scikit_learn(f"images/{name}.jpg") for name in PHOTOGRAPHS]
    colour = [torch.from_numpy(np.array(Image.open(file))).movedim(2, 0) for file in files]
    if channels == 3:
        return colour
    luma = torch.tensor(LUMA)[:, None, None]
    return [(image * luma).sum(0, keepdim=True).round().to(torch.uint8) for image in colour]


def _patches(
    regions: list[Tensor], number: int, size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """[number, C, size, size] from the regions in turn, and from which of them each is."""
    labels = torch.arange(number) % len(regions)
    patches = torch.empty(number, regions[0].shape[0], size, size, dtype=torch.uint8)
    for label, region in enumerate(regions):
        windows = region.unfold(1, size, 1).unfold(2, size, 1)  # [C, rows, columns, size, size]
        mine = labels == label
        count = int(mine.sum())
        rows = torch.randint(windows.shape[1], (count,), generator=generator)
        columns = torch.randint(windows.shape[2], (count,), generator=generator)
        patches[mine] = windows[:, rows, columns].movedim(1, 0)
    return patches, labels


def random_noise(samples: int, features: int, seed: int) -> Source:
    """Vectors of independent values, uniform on [0, 1): `numpy.random.rand(samples, features)`.

    Args:
        samples: number of vectors, at least 2.
        features: values in each.
        seed: of the noise itself; the same seed gives the same data.

    Raises:
        ConfigError: `samples` or `features` is too small.
    """
    for key, value, smallest in (("samples", samples, 2), ("features", features, 1)):
        if value < smallest:
            raise ConfigError(f"data.source.{key}={value}: give at least {smallest}.")
    generator = torch.Generator().manual_seed(seed)
    return Source(
        name="random",
        train=torch.rand(samples, features, generator=generator),
        value_range=(0.0, 1.0),
        note=(
            "Independent uniform noise cannot be compressed: on unseen samples even the best "
            f"linear code of k numbers (PCA) keeps only about k/{features} of the variance, and "
            "what a network learns beyond that is memorised. Use it to measure speed, not to "
            "compare activations."
        ),
    )
