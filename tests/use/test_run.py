"""A finished run as an object: what goes in, what comes out, and that nothing else matters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import activae
from activae.errors import ConfigError, DataError, UserError
from activae.use.run import Run

Trained = Callable[..., Path]


def test_a_run_tells_what_it_is(digits: Run, digits_folder: Path) -> None:
    assert digits.folder == digits_folder
    assert digits.config["data"]["name"] == "digits"
    assert digits.metrics["val"]["SE"] > 0
    assert digits.spec.shape == (1, 8, 8)
    assert digits.code_shape == (8,)
    assert not digits.network.training
    assert repr(digits) == f"<activae.Run {digits_folder}: digits, [1, 8, 8] -> [8]>"


def test_the_mean_score_of_the_test_split_is_the_se_of_the_metrics(
    digits: Run, images: np.ndarray
) -> None:
    from activae.data.split import split_indices

    sizes = digits.spec.samples
    split = split_indices(
        len(images), has_test=False, val_fraction=0.1, test_fraction=0.2, train_fraction=1.0, seed=0
    )
    assert len(split.test) == sizes["test"]

    scores = digits.score(images[split.test])

    assert scores.mean() == pytest.approx(digits.metrics["test"]["SE"], rel=1e-5)


def test_a_sample_has_the_same_numbers_whatever_else_is_given(
    digits: Run, images: np.ndarray
) -> None:
    codes, again, scores = digits.encode(images), digits.reconstruct(images), digits.score(images)

    for place in (0, 1, 255, 256, 1023, 1024, 1796):
        one = images[place : place + 1]
        assert np.array_equal(digits.encode(one)[0], codes[place])
        assert np.array_equal(digits.reconstruct(one)[0], again[place])
        assert digits.score(one)[0] == scores[place]
        assert np.array_equal(
            digits.decode(codes[place : place + 1]), digits.decode(codes)[[place]]
        )
    for first, rows in ((3, 37), (1, 300), (5, 600), (2, 0), (7, 1025), (100, 1600)):
        assert np.array_equal(digits.encode(images[first : first + rows]), codes[first:][:rows])


def test_threads_do_not_change_numbers(digits: Run, images: np.ndarray) -> None:
    codes = digits.encode(images)
    torch.set_num_threads(2)
    try:
        assert np.array_equal(activae.load(digits.folder).encode(images), codes)
    finally:
        torch.set_num_threads(1)


def test_dropout_is_off_and_the_global_generator_is_left_alone(
    trained: Trained, images: np.ndarray
) -> None:
    folder = trained("data=digits", "encoder.dropout=0.5", "activation=rrelu")
    before = torch.get_rng_state()

    run = activae.load(folder)

    assert np.array_equal(run.encode(images[:9]), run.encode(images[:9]))
    assert torch.get_rng_state().equal(before)


LAYOUTS = {
    "channels first": lambda x: x[:, None],
    "channels last": lambda x: x[..., None],
    "without channels": lambda x: x,
    "flat": lambda x: x.reshape(len(x), -1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_arrays_come_back_in_their_layout_and_type(
    layout: str, dtype: str, digits: Run, images: np.ndarray
) -> None:
    x = LAYOUTS[layout](images[:7]).astype(dtype)

    codes, again = digits.encode(x), digits.reconstruct(x)

    assert np.allclose(codes, digits.encode(images[:7]), atol=1e-5)
    assert (again.shape, again.dtype) == (x.shape, x.dtype)
    assert np.array_equal(digits.encode(x[2]), codes[2]) or layout == "channels first"
    assert digits.reconstruct(x[2]).shape == x[2].shape


def test_tensors_come_back_as_tensors_that_one_can_learn_from(
    digits: Run, images: np.ndarray
) -> None:
    x = torch.tensor(images[:5]).float()

    codes = digits.encode(x)
    torch.nn.Linear(8, 2)(codes).sum().backward()  # what inference mode makes refuses this

    assert isinstance(digits.reconstruct(x), torch.Tensor)
    assert np.array_equal(codes.numpy(), digits.encode(x.numpy()))


def test_arrays_that_cannot_be_written_to_are_taken(digits: Run, images: np.ndarray) -> None:
    x = images[:3].astype(np.float32)
    x.flags.writeable = False

    digits.encode(x)


def test_pictures_come_back_as_pictures(digits: Run, images: np.ndarray) -> None:
    shades = [Image.fromarray((x * 255 / 16).round().astype(np.uint8)) for x in images[:3]]

    again = digits.reconstruct(shades)

    assert [(each.mode, each.size) for each in again] == [("L", (8, 8))] * 3
    assert isinstance(digits.reconstruct(shades[0]), Image.Image)
    assert np.allclose(digits.encode(shades), digits.encode(images[:3]), atol=0.1)
    assert np.array_equal(digits.encode(shades[0].convert("RGB")), digits.encode(shades[0]))


def test_what_is_decoded_is_in_raw_units(digits: Run, images: np.ndarray) -> None:
    codes = digits.encode(images[:5])

    decoded = digits.decode(codes)

    assert np.allclose(decoded[:, 0], digits.reconstruct(images[:5]), atol=1e-5)
    assert decoded.max() > 2
    assert np.array_equal(digits.decode(codes[0]), decoded[0])
    assert np.array_equal(digits.decode(codes.tolist()), decoded)


def test_interpolation_goes_from_one_reconstruction_to_the_other(
    digits: Run, images: np.ndarray
) -> None:
    path = digits.interpolate(images[0], images[1], 5)

    assert path.shape == (5, 8, 8)
    ends = digits.reconstruct(images[:2])
    assert np.allclose(path[[0, -1]], ends, atol=1e-5)
    middle = digits.encode(images[:2]).mean(0)
    assert np.allclose(path[2], digits.decode(middle)[0], atol=1e-4)
    with pytest.raises(DataError, match="a: has 2 samples; give one"):
        digits.interpolate(images[:2], images[1])
    for n in (1, 2.5):
        with pytest.raises(DataError, match=f"n={n}: give a whole number of 2 or more"):
            digits.interpolate(images[0], images[1], n)


def test_pictures_are_named_by_texts_too(digits: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.full((8, 8), 128, dtype=np.uint8)).save(file)

    assert np.array_equal(digits.encode([str(file)]), digits.encode([file]))


def test_batches_are_taken_one_at_a_time(digits: Run, images: np.ndarray) -> None:
    taken = []

    def batches():  # type: ignore[no-untyped-def]
        for first in range(0, 30, 10):
            taken.append(first)
            yield images[first : first + 10]

    results = digits.encode(batches())

    assert taken == []
    assert np.array_equal(next(results), digits.encode(images[:10]))
    assert taken == [0]
    assert np.array_equal(np.concatenate(list(results)), digits.encode(images[10:30]))
    assert [len(each) for each in digits.score([images[:4], images[4:5]])] == [4, 1]


def test_no_samples_have_no_codes(digits: Run, images: np.ndarray) -> None:
    assert digits.encode(images[:0]).shape == (0, 8)
    assert digits.reconstruct(images[:0]).shape == (0, 8, 8)
    assert digits.score(images[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones((3, 4, 4)), "an array of shape [3, 4, 4] was given"),
        (np.full((2, 8, 8), np.nan), "128 of 128 values given are NaN"),
        (np.full((2, 8, 8), 17.0), "values from 17 to 17 were given"),
        (np.full((2, 8, 8), -1.0), "values from -1 to -1 were given"),
        (np.full((2, 8, 8), 0.3), "as if divided already"),
        (np.full((2, 8, 8), "a"), "an array of type <U1 was given"),
        (np.zeros((2, 8, 8), complex), "an array of type complex128 was given"),
        (torch.zeros(2, 8, 8, dtype=torch.complex64), "a tensor of torch.complex64 was given"),
        ([[1, 2], [3]], "a list was given"),
        (None, "None was given"),
        ({1, 2}, "a set was given"),
        ([["a", "b"]], "a list of type <U1 was given"),
        (np.array([{}]), "an array of type object was given"),
        (np.ma.masked_greater(np.ones((2, 8, 8)), 0), "an array with 128 masked values was given"),
        (torch.zeros(2, 64).to_sparse(), "in layout torch.sparse_coo was given"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named_beside_what_is_expected(
    given: object, said: str, digits: Run
) -> None:
    with pytest.raises(DataError) as error:
        digits.encode(given)

    assert said in str(error.value)
    assert "the run expects images [N, 1, 8, 8]" in str(error.value)
    assert "from 0 to 16" in str(error.value)


def test_a_masked_array_that_masks_nothing_is_an_array(digits: Run, images: np.ndarray) -> None:
    few = images[:3]
    assert np.array_equal(digits.encode(np.ma.masked_array(few)), digits.encode(few))


def test_a_picture_of_another_size_is_refused(digits: Run) -> None:
    with pytest.raises(DataError, match=r"9 x 7 pixels was given; the run expects 8 x 8"):
        digits.encode(Image.new("L", (9, 7)))


@pytest.mark.parametrize("codes", [np.zeros((2, 7)), np.full((2, 8), np.inf), [["a"] * 8]], ids=str)
def test_codes_that_do_not_fit_are_refused(codes: object, digits: Run) -> None:
    with pytest.raises(DataError, match=r"was given|were given.*the run expects codes \[N, 8\]"):
        digits.decode(codes)


def test_a_file_that_is_not_there_is_named(digits: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.npy: there is no such file"):
        digits.encode(tmp_path / "none.npy")


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv"])
def test_files_are_read_by_their_ending(
    ending: str, digits: Run, images: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / f"x{ending}"
    if ending == ".npy":
        np.save(file, images[:6])
    elif ending == ".npz":
        np.savez(file, data=images[:6], labels=np.arange(6))
    else:
        np.savetxt(file, images[:6].reshape(6, -1), delimiter=",")

    assert np.array_equal(digits.encode(str(file)), digits.encode(images[:6]))


def test_a_network_in_double_precision_stays_so(trained: Trained, images: np.ndarray) -> None:
    run = activae.load(trained("data=digits", "trainer.precision=64-true"))

    codes = run.encode(images[:5])

    assert codes.dtype == np.float64
    assert np.array_equal(run.encode(images[3:4]), codes[3:4])


def test_convolutions_are_no_exception(trained: Trained, images: np.ndarray) -> None:
    run = activae.load(trained("data=digits", "encoder=conv", "decoder=conv"))

    codes = run.encode(images[:300])

    assert np.array_equal(run.encode(images[299]), codes[299])


def test_a_device_that_is_not_there_is_refused(digits_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"device=cuda:99: .*here it can on cpu"):
        activae.load(digits_folder, device="cuda:99")
    with pytest.raises(ConfigError, match="device=toaster"):
        activae.load(digits_folder, device="toaster")


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        activae.load(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        activae.load(tmp_path / "none")
