import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """All 1797 digits of scikit-learn as [n, 1, 8, 8] in [0, 1]."""
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 16


@pytest.fixture(scope="session")
def mnist() -> tuple[Tensor, Tensor]:
    """MNIST's 60,000 training and 10,000 test images as [n, 1, 28, 28] in [0, 1]."""
    folder = Path(os.environ.get("ACTIVAE_DATA", "data")) / "MNIST" / "raw"
    paths = [folder / f"{split}-images-idx3-ubyte" for split in ("train", "t10k")]
    for path in paths:
        if not path.is_file():
            pytest.skip(f"needs {path}")
    train, test = (
        torch.from_numpy(np.fromfile(path, np.uint8)[16:] / np.float32(255)) for path in paths
    )
    return train.view(-1, 1, 28, 28), test.view(-1, 1, 28, 28)
