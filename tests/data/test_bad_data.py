"""Data that are none, or that the chosen parts do not fit: one message that names the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Complain = Callable[..., str]


def assert_says(message: str, *parts: str) -> None:
    missing = [part for part in parts if part not in message]
    assert not missing, message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["output.activation=tanh"], ["Tanh", "[-1, 1]", "[0, 1]", "leave it out", "sigmoid"]),
        (
            ["output.activation=sigmoid", "data.normalisation=standardise"],
            ["Sigmoid", "cannot reach the data", "data.normalisation=unit_range"],
        ),
        (
            ["output.activation=relu", "data.normalisation=standardise"],
            ["ReLU", "cannot reach the data", "[0, inf]"],
        ),
        (["output.activation=sigmoid", "data.normalisation=none"], ["Sigmoid", "[0, 16]"]),
    ],
)
def test_an_output_activation_that_does_not_fit_the_data(
    overrides: list[str], said: list[str], complaint: Complain
) -> None:
    activation, *rest = overrides

    assert_says(complaint(f"activation@{activation}", *rest), "output.activation=", *said)


@pytest.mark.parametrize("normalisation", ["standardise", "none"])
def test_bce_needs_data_between_zero_and_one(normalisation: str, complaint: Complain) -> None:
    message = complaint("objective=bce", f"data.normalisation={normalisation}")

    assert_says(message, "objective=bce", f"data.normalisation={normalisation}", "=unit_range")


def test_bce_needs_the_sigmoid(complaint: Complain) -> None:
    message = complaint("objective=bce", "activation@output.activation=hardsigmoid")

    assert_says(message, "output.activation=Hardsigmoid", "objective=bce", "leave output")


def test_conv_needs_images(complaint: Complain) -> None:
    assert_says(complaint("encoder=conv", "data=random"), "encoder=conv", "(784,)", "encoder=mlp")


def test_conv_needs_sides_that_halve_evenly(complaint: Complain) -> None:
    message = complaint("decoder=conv", "decoder.channels=[8,8,8,8]")

    assert_says(message, "decoder.channels=[8, 8, 8, 8]", "(1, 8, 8)", "16")


def test_halves_whose_shapes_disagree_are_both_named(
    complaint: Complain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "flat_decoder.py").write_text(
        "from torch import nn\n"
        "def flat(code_dim, output_shape, activation):\n"
        "    return nn.Linear(code_dim, 5)\n"
    )
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder" / "flat.yaml").write_text(
        "_target_: flat_decoder.flat\n_partial_: true\nactivation: null\n"
    )

    message = complaint(f"hydra.searchpath=['file://{tmp_path}']", "decoder=flat", "encoding.dim=4")

    assert_says(message, "(1, 8, 8) into (4,)", "into (5,) instead of (1, 8, 8)", "shapes agree")


RANDOM = np.random.default_rng(0)
GOOD = RANDOM.random((60, 12))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.where(GOOD > 0.99, np.nan, GOOD), "NaN or infinite"),
        (np.where(GOOD > 0.99, np.inf, GOOD), "NaN or infinite"),
        (GOOD[:1], "1 training sample"),
        (np.ones((60, 12)), "constant data"),
        (np.float64(3), "shape []"),
        (GOOD.reshape(60, 3, 2, 2, 1), "[60, 3, 2, 2, 1]"),
        (GOOD[:0], "empty"),
        (np.array([["a", "b"]] * 9), "not real numbers"),
        (np.array([{}, 1] * 9, dtype=object), "plain arrays of numbers"),
    ],
    ids=["nan", "inf", "one", "constant", "scalar", "5d", "empty", "text", "objects"],
)
def test_an_array_that_is_no_data_set(
    array: Any, said: str, complaint: Complain, tmp_path: Path
) -> None:
    file = tmp_path / "mine.npy"
    np.save(file, array, allow_pickle=True)

    assert_says(complaint("data=array", f"data.path='{file}'"), str(file), said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("mine.npy", b"", "empty (0 bytes)"),
        ("mine.npy", b"hello", "does not hold plain arrays"),
        ("mine.csv", b"a,b\n1,2\n3,x\n", "line 3, column 2 (b): 'x' is not a number"),
        (
            "mine.csv",
            b"a;b\n1,5;2\n",
            "with a point (1.5); in Python: pandas.read_csv('mine.csv'",
        ),
        ("mine.mat", b"1 2 3", "'.mat'"),
    ],
)
def test_a_file_that_is_no_data_set(
    name: str, content: bytes, said: str, complaint: Complain, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content)

    assert_says(complaint("data=array", f"data.path='{file}'"), str(file), said)


def test_a_file_that_is_missing(complaint: Complain, tmp_path: Path) -> None:
    assert_says(complaint("data=array", "data.path=none.npy"), "data.path=none.npy", "no such file")
    assert_says(complaint("data=array", f"data.path='{tmp_path}'"), str(tmp_path), "is a folder")


def test_data_that_were_divided_already(complaint: Complain, tmp_path: Path) -> None:
    file = tmp_path / "unit.npy"
    np.save(file, GOOD)

    message = complaint("data=array", f"data.path='{file}'", "data.value_range=[0,255]")

    assert_says(message, str(file), "already been divided", "data.value_range=[0,1]")
