"""One whole fit by another way to train, timed from building the model: what `sweep.py` starts.

    python -m benchmarks.one_fit keras|usual|products DATA_ROOT BATCH_SIZE EPOCHS

The last line printed is the seconds that took; of the products, the seconds of one step.
"""

from __future__ import annotations

import sys
import warnings
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from benchmarks.workload import MNIST, WIDTHS, training_samples

PRODUCT_STEPS = 2000


def keras(data_root: Path, batch_size: int, epochs: int) -> float:
    """The article's model on MNIST, silently."""
    from benchmarks.keras_fit import article_model

    samples = training_samples(MNIST, data_root)
    started = perf_counter()
    model = article_model()
    model.fit(samples, samples, epochs=epochs, batch_size=batch_size, verbose=0)
    return perf_counter() - started


def usual(data_root: Path, batch_size: int, epochs: int) -> float:
    """The usual Lightning way, with a DataLoader in the training process."""
    import pytorch_lightning as pl
    from torch.utils.data import DataLoader, Subset
    from torchvision import datasets, transforms

    from benchmarks.torch_loops import network
    from benchmarks.usual import PlainAutoencoder

    mnist = datasets.MNIST(data_root, train=True, transform=transforms.ToTensor())
    started = perf_counter()
    loader = DataLoader(Subset(mnist, range(MNIST.samples)), batch_size=batch_size, shuffle=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(PlainAutoencoder(network()), loader)
    return perf_counter() - started


def products(data_root: Path, batch_size: int, epochs: int) -> float:
    """The matrix products of a step on one thread: seconds of one step, of many taken."""
    import torch

    from benchmarks.torch_loops import Products

    torch.set_num_threads(1)
    layers = [Products(batch_size, *widths) for widths in pairwise(WIDTHS)]
    for steps in (PRODUCT_STEPS // 10, PRODUCT_STEPS):  # the first are a warm-up
        started = perf_counter()
        for _ in range(steps):
            Products.step(layers)
    return (perf_counter() - started) / PRODUCT_STEPS


def main() -> None:
    """Time what the command line names."""
    name, data_root, batch_size, epochs = sys.argv[1:]
    fits = {"keras": keras, "usual": usual, "products": products}
    print(fits[name](Path(data_root), int(batch_size), int(epochs)))


if __name__ == "__main__":
    main()
