"""The data set that needs no download."""

from __future__ import annotations

import torch

from activae.data.source import Source


def digits() -> Source:
    """Scikit-learn's handwritten digits: 1797 grey images `[1, 8, 8]` with values 0 to 16.

    They are the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and
    Kaynak, 1998) and bring no test split of their own.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).to(torch.uint8)
    return Source(
        name="digits",
        train=images.unsqueeze(1),
        train_labels=torch.from_numpy(bunch.target).long(),
        value_range=(0.0, 16.0),
        class_names=tuple(str(name) for name in bunch.target_names),
    )
