"""What is trained on: the article's noise and MNIST, the same samples for every contender."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# The article's network: widths from the data over the code back to the data; ReLU between the
# layers, a linear code, a sigmoid at the end.
WIDTHS = (784, 64, 32, 32, 32, 64, 784)
CODE_LAYER = 3

NETWORK = (
    "activation=relu",
    "encoder=mlp",
    "decoder=mlp",
    "encoding=dim32",
    "activation@output.activation=sigmoid",
    "objective=mse",
    "optimizer=adam",
    "optimizer.lr=1e-3",
    "scheduler=constant",
    "trainer=cpu",
)


@dataclass(frozen=True)
class Workload:
    """Samples, batch size, and how many epochs make a lap long enough to be timed."""

    name: str
    title: str
    samples: int
    batch_size: int
    epochs: int
    data: tuple[str, ...]

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps that visit every sample once; the last batch is short."""
        return ceil(self.samples / self.batch_size)

    @property
    def overrides(self) -> tuple[str, ...]:
        """What train.py would be given to train the article's network on this."""
        return (*NETWORK, *self.data, f"data.batch_size={self.batch_size}")


ARTICLE = Workload(
    name="article",
    title="the article's: 1000 x 784 uniform noise, batch 32",
    samples=1000,
    batch_size=32,
    epochs=10,
    data=(
        "data=random",
        "data.source.samples=1250",
        "data.val_fraction=0.1",
        "data.test_fraction=0.1",
    ),
)
MNIST = Workload(
    name="mnist",
    title="MNIST: 54,000 x 784, batch 256",
    samples=54_000,
    batch_size=256,
    epochs=1,
    data=("data=mnist", "data.val_fraction=0.1"),
)
WORKLOADS = {workload.name: workload for workload in (ARTICLE, MNIST)}


@dataclass(frozen=True)
class Task:
    """What a worker process is told: plain values, because they travel as JSON.

    `configs` is the folder of the Hydra configs, `data_root` torchvision's, `scratch` one for
    run folders. `epochs` make a lap.
    """

    contender: str
    workload: str
    epochs: int
    configs: str
    data_root: str
    scratch: str

    @property
    def steps(self) -> int:
        """Optimizer steps of a lap."""
        return self.epochs * WORKLOADS[self.workload].steps_per_epoch


def training_samples(workload: Workload, data_root: Path) -> NDArray[np.float32]:
    """The training samples [samples, 784] in [0, 1]."""
    if workload is ARTICLE:
        return np.random.default_rng(0).random((workload.samples, WIDTHS[0]), dtype=np.float32)
    raw = np.frombuffer(_files(data_root)["train-images"].read_bytes(), np.uint8, offset=16)
    return raw.reshape(-1, WIDTHS[0])[: workload.samples].astype(np.float32) / np.float32(255)


def has_mnist(data_root: Path) -> bool:
    """Whether the folder holds MNIST, unpacked, as torchvision lays it out."""
    return all(file.is_file() for file in _files(data_root).values())


def write_stand_in(data_root: Path, train: int = 60_000, test: int = 10_000) -> None:
    """Random images in files of MNIST's names, sizes and format: no contender can tell."""
    random = np.random.default_rng(0)
    files = _files(data_root)
    for part, count in (("train", train), ("t10k", test)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        _write_idx(files[f"{part}-images"], images)
        _write_idx(files[f"{part}-labels"], random.integers(0, 10, count, dtype=np.uint8))


def _files(data_root: Path) -> dict[str, Path]:
    raw = data_root / "MNIST" / "raw"
    return {
        f"{part}-{kind}": raw / f"{part}-{kind}-idx{dimensions}-ubyte"
        for part in ("train", "t10k")
        for kind, dimensions in (("images", 3), ("labels", 1))
    }


def _write_idx(file: Path, values: NDArray[np.uint8]) -> None:
    """IDX: two zeros, 8 for uint8, how many dimensions; each of them, big-endian int32; values."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sizes = np.array(values.shape, dtype=">i4").tobytes()
    file.write_bytes(bytes((0, 0, 8, values.ndim)) + sizes + values.tobytes())
