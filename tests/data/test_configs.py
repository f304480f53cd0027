"""Every option of the data group leads to a source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from activae.config import names, schema
from activae.data import Source

CONFIGS = Path(__file__).parents[2] / "configs"


def load(*overrides: str) -> Source:
    schema.register()
    names.register()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        data = compose("train", list(overrides)).data
    source: Source = instantiate(data.source)()
    return source


@pytest.mark.parametrize(
    ("option", "shape"), [("digits", (1797, 1, 8, 8)), ("random", (1000, 784))]
)
def test_data_that_need_no_file(option: str, shape: tuple[int, ...]) -> None:
    assert load(f"data={option}").train.shape == shape


@pytest.mark.parametrize(
    ("option", "name"),
    [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")],
)
def test_the_environment_names_the_root_of_downloads(
    option: str,
    name: str,
    mnist_files: Callable[[str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mnist_files(name)
    monkeypatch.setenv("ACTIVAE_DATA", str(tmp_path))
    assert load(f"data={option}").train.shape == (12, 1, 28, 28)


def test_cifar10_from_a_root_given_by_override(cifar_files: Any, tmp_path: Path) -> None:
    assert load("data=cifar10", f"data.root='{tmp_path}'").sample_shape == (3, 32, 32)


def test_an_array_takes_its_settings_from_overrides(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.arange(60, dtype=np.uint8).reshape(5, 12))
    source = load(
        "data=array",
        f"data.path='{tmp_path / 'mine.npy'}'",
        "data.value_range=[0,255]",
        "data.source.image_shape=[1,3,4]",
    )
    assert source.sample_shape == (1, 3, 4)
    assert source.value_range == (0, 255)
