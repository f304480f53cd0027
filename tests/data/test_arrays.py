"""The user's own arrays: what is understood, and what each mistake is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from activae.data import array
from activae.errors import ConfigError, DataError

Array = NDArray[Any]


def ramp(*shape: int, dtype: Any = np.float32) -> Array:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.fixture
def npy(tmp_path: Path) -> Callable[[Array], Path]:
    def save(values: Array) -> Path:
        np.save(tmp_path / "mine.npy", values)
        return tmp_path / "mine.npy"

    return save


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    def save(*unnamed: Array, **named: Array) -> Path:
        np.savez(tmp_path / "mine.npz", *unnamed, **named)
        return tmp_path / "mine.npz"

    return save


@pytest.mark.parametrize(
    ("shape", "sample_shape"),
    [
        ((5, 7), (7,)),
        ((5, 1), (1,)),
        ((5, 4, 6), (1, 4, 6)),
        ((5, 3, 4, 6), (3, 4, 6)),
        ((5, 1, 4, 6), (1, 4, 6)),
        ((5, 4, 6, 3), (3, 4, 6)),
        ((5, 4, 6, 1), (1, 4, 6)),
        ((5, 3, 6, 3), (3, 6, 3)),  # either reading is plausible: channels first
        ((5, 4, 6, 7), (4, 6, 7)),  # neither is: channels first
    ],
)
def test_dimensions_say_what_a_sample_is(
    npy: Callable[[Array], Path], shape: tuple[int, ...], sample_shape: tuple[int, ...]
) -> None:
    source = array(npy(ramp(*shape)))
    assert source.sample_shape == sample_shape
    assert len(source.train) == 5


def test_channels_that_come_last_are_moved_and_not_reshaped(npy: Callable[[Array], Path]) -> None:
    images = ramp(5, 4, 6, 3)
    train = array(npy(images)).train
    assert np.array_equal(train[2, 1].numpy(), images[2, :, :, 1])
    assert train.is_contiguous()


@pytest.mark.parametrize(
    ("shape", "image_shape", "sample_shape"),
    [
        ((5, 24), [4, 6], (1, 4, 6)),
        ((5, 24), [1, 4, 6], (1, 4, 6)),
        ((5, 24), [2, 3, 4], (2, 3, 4)),
        ((5, 4, 6), [4, 6], (1, 4, 6)),
        ((5, 4, 6, 2), [2, 4, 6], (2, 4, 6)),
        ((5, 3, 6, 3), [3, 3, 6], (3, 3, 6)),
    ],
)
def test_image_shape_overrules_the_guess(
    npy: Callable[[Array], Path],
    shape: tuple[int, ...],
    image_shape: list[int],
    sample_shape: tuple[int, ...],
) -> None:
    assert array(npy(ramp(*shape)), image_shape=image_shape).sample_shape == sample_shape


@pytest.mark.parametrize("image_shape", [[5, 5], [2, 3, 5], [24]])
def test_an_image_shape_that_does_not_fit_is_an_error(
    npy: Callable[[Array], Path], image_shape: list[int]
) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.image_shape="):
        array(npy(ramp(5, 24)), image_shape=image_shape)


@pytest.mark.parametrize("image_shape", [24, "4x6", [4, 0], [1.5, 16]])
def test_an_image_shape_that_is_none_is_an_error(
    npy: Callable[[Array], Path], image_shape: Any
) -> None:
    with pytest.raises(ConfigError, match=r"give \[C,H,W\] or \[H,W\]"):
        array(npy(ramp(5, 24)), image_shape=image_shape)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("uint8", torch.uint8),
        ("bool", torch.uint8),
        ("float32", torch.float32),
        (">f4", torch.float32),
        ("float16", torch.float32),
        ("int16", torch.float32),
        ("uint16", torch.float32),
        ("int64", torch.float64),
        ("float64", torch.float64),
    ],
)
def test_values_of_any_real_type_are_kept_exactly(
    npy: Callable[[Array], Path], given: str, kept: torch.dtype
) -> None:
    values = ramp(5, 7).astype(given)
    train = array(npy(values)).train
    assert train.dtype == kept
    assert np.array_equal(train.double().numpy(), values.astype(np.float64))


@pytest.mark.parametrize("name", ["data", "x", "x_train", "train", "anything"])
def test_an_npz_may_hold_one_array_under_any_name(npz: Callable[..., Path], name: str) -> None:
    assert array(npz(**{name: ramp(5, 7)})).sample_shape == (7,)


def test_an_npz_may_bring_labels_and_a_test_set(npz: Callable[..., Path]) -> None:
    path = npz(
        x_train=ramp(4, 7),
        y_train=np.array([7, 3, 7, 5]),
        x_test=ramp(2, 7),
        y_test=np.array([[9], [3]]),
    )
    source = array(path)
    assert source.test is not None
    assert source.train_labels is not None
    assert source.test_labels is not None
    assert np.array_equal(source.test.numpy(), ramp(2, 7))
    assert source.class_names == ("3", "5", "7", "9")
    assert source.train_labels.tolist() == [2, 0, 2, 1]
    assert source.test_labels.tolist() == [3, 0]
    assert source.train_labels.dtype == torch.int64


def test_labels_may_be_text(npz: Callable[..., Path]) -> None:
    source = array(npz(data=ramp(3, 7), labels=np.array(["dog", "cat", "dog"])))
    assert source.class_names == ("cat", "dog")
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [1, 0, 1]


def test_an_npz_with_several_unnamed_arrays_asks_which(npz: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"arr_0, arr_1: which one .* Name it 'data'"):
        array(npz(ramp(5, 7), ramp(5)))


@pytest.mark.parametrize("labels", [np.zeros((3, 2)), np.array(1)])
def test_labels_of_another_shape_are_an_error(npz: Callable[..., Path], labels: Array) -> None:
    with pytest.raises(DataError, match="give one label a sample"):
        array(npz(data=ramp(3, 7), labels=labels))


def test_the_declared_range_is_handed_on(npy: Callable[[Array], Path]) -> None:
    assert array(npy(ramp(5, 7)), value_range=[0, 255]).value_range == (0, 255)
    assert array(npy(ramp(5, 7))).value_range is None


@pytest.mark.parametrize("value_range", [[0], [0, 1, 2], [1, 0], [0, 0], [0, float("inf")]])
def test_a_range_that_is_none_is_an_error(
    npy: Callable[[Array], Path], value_range: list[float]
) -> None:
    with pytest.raises(ConfigError, match=r"data\.value_range=\["):
        array(npy(ramp(5, 7)), value_range=value_range)


def test_the_articles_mistake_is_recognised(npy: Callable[[Array], Path]) -> None:
    noise = np.random.default_rng(0).random((100, 8))
    with pytest.raises(DataError, match=r"already been divided.*data\.value_range=\[0,1\]"):
        array(npy(noise), value_range=[0, 255])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(3.0), r"shape \[\] is not a list of samples"),
        (ramp(9), r"shape \[9\] is not a list of samples.*reshape\(-1, 1\)"),
        (ramp(2, 2, 2, 2, 2), "is not a list of samples"),
        (ramp(0, 7), r"the array is empty \(shape \[0, 7\]\)"),
        (ramp(1, 7), r"1 training sample\(s\)"),
        (np.ones((5, 7)), "constant data"),
        (np.array([["a", "b"], ["c", "d"]]), "not real numbers"),
        (ramp(5, 7).astype(complex), "values of type complex128 are not real numbers"),
        (np.array([[1.0, np.nan], [2.0, 3.0]]), "1 of 4 training values are NaN or infinite"),
    ],
)
def test_an_array_that_cannot_be_used_names_the_file(
    npy: Callable[[Array], Path], values: Array, message: str
) -> None:
    with pytest.raises(DataError, match=rf"mine\.npy: .*{message}"):
        array(npy(values))


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_python_objects_are_refused_and_never_unpickled(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine.{ending}"
    save = np.save if ending == "npy" else np.savez
    save(path, np.array([[1, None], [2, 3]], dtype=object))  # type: ignore[operator]
    with pytest.raises(DataError, match=rf"mine\.{ending} does not hold plain arrays of numbers"):
        array(path)


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize("content", [b"hello, I am text", b"PK\x03\x04 half an archive"])
def test_a_file_of_something_else_is_an_error(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"mine.{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="does not hold plain arrays of numbers, or is damaged"):
        array(path)


@pytest.mark.parametrize("left", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_file_cut_short_is_an_error(tmp_path: Path, ending: str, left: float) -> None:
    path = tmp_path / f"mine.{ending}"
    if ending == "npy":
        np.save(path, ramp(50, 7))
    else:
        np.savez_compressed(path, data=ramp(50, 7))
    path.write_bytes(path.read_bytes()[: int(left * path.stat().st_size)])
    with pytest.raises(DataError, match=r"mine\.np. .*damaged"):
        array(path)


@pytest.mark.parametrize("name", ["mine.npy", "mine.npz", "mine.csv"])
def test_an_empty_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"mine\.... is empty \(0 bytes\)"):
        array(tmp_path / name)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path=.*none\.npy: there is no such file"):
        array(tmp_path / "none.npy")


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path=.* is a folder"):
        array(tmp_path)


def test_an_unknown_ending_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "mine.mat").write_bytes(b"1")
    with pytest.raises(DataError, match=r"unknown ending '\.mat'.*\.npy, \.npz, \.csv"):
        array(tmp_path / "mine.mat")


def test_no_path_at_all_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"data\.path is not set"):
        array("")


def test_a_label_column_is_for_tables(npy: Callable[[Array], Path]) -> None:
    with pytest.raises(ConfigError, match=r"label_column=0 is for tables"):
        array(npy(ramp(5, 7)), label_column=0)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
def test_a_sparse_matrix_is_named_as_such(form: str, tmp_path: Path) -> None:
    import scipy.sparse

    matrix = scipy.sparse.random(60, 20, 0.3, random_state=0).asformat(form)
    scipy.sparse.save_npz(tmp_path / "s.npz", matrix)

    with pytest.raises(DataError, match="is a scipy sparse matrix"):
        array(tmp_path / "s.npz")


def test_arrays_of_an_npz_that_are_not_read_are_named(npz: Callable[..., Path]) -> None:
    parts = {name: ramp(4, 7) for name in ("x_train", "x_val", "x_test")}
    source = array(npz(**parts, y_val=np.arange(4), feature_names=np.array(list("abcdefg"))))

    assert source.train.shape == (4, 7)
    assert source.test is not None
    assert "Not read: x_val, y_val, feature_names." in source.note
    assert "data.val_fraction" in source.note
    assert array(npz(x_train=ramp(4, 7), y_train=np.arange(4))).note == ""


@pytest.mark.parametrize(
    "names", [("data", "x"), ("x_train", "train"), ("data", "labels", "y"), ("x", "test", "x_test")]
)
def test_two_names_for_one_role_are_refused(
    names: tuple[str, ...], npz: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match=rf"holds {names[-2]} and {names[-1]}, each a name"):
        array(npz(**{name: ramp(4, 7) for name in names}))


def test_validation_arrays_are_never_taken_for_the_samples(npz: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="x_val, x_test: which one are the samples"):
        array(npz(x_val=ramp(4, 7), x_test=ramp(4, 7)))
    assert array(npz(X=ramp(4, 7), x_valid=ramp(2, 7))).train.shape == (4, 7)


def test_an_archive_that_does_not_fit_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "flood.npz", data=np.zeros((1000, 10)))
    monkeypatch.setattr("activae.data.sources.numpy_files.available_bytes", lambda: 50_000)

    with pytest.raises(DataError, match=r"flood\.npz: its arrays take 8.*GB, and 5e-05 GB"):
        array(tmp_path / "flood.npz")
