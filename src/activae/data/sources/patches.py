"""Patches of natural images, from the photographs that come with scikit-learn."""

from __future__ import annotations

import torch
from torch import Tensor

from activae.data.source import Source
from activae.errors import ConfigError

# Weights of red, green and blue in brightness (ITU-R BT.601), as Pillow takes them.
LUMA = (0.299, 0.587, 0.114)
TEST_SHARE = 0.2  # of each photograph, at its right-hand side


def natural_patches(size: int, number: int, channels: int, seed: int) -> Source:
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

    Raises:
        ConfigError: a number that makes no sense, or patches too large for the test region.
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
    return Source(
        name="patches",
        train=train,
        train_labels=train_labels,
        test=test,
        test_labels=test_labels,
        value_range=(0.0, 255.0),
        class_names=("china", "flower"),
    )


def _photographs(channels: int) -> list[Tensor]:
    """Each uint8 [C, H, W]."""
    if channels not in (1, 3):
        raise ConfigError(f"data.source.channels={channels}: give 1 (grey) or 3 (RGB).")
    from sklearn.datasets import load_sample_images

    colour = [torch.tensor(image).movedim(2, 0) for image in load_sample_images().images]
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
