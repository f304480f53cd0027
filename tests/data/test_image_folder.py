"""A folder of pictures: which ones, in which order, cut how, labelled by what."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from activae.data import image_folder
from activae.errors import ConfigError, DataError

Write = Callable[..., Path]
KINDS = ["a.png", "b.JPG", "c.bmp", "d.webp", "e.gif", "f.tiff"]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a picture of one colour, or of an array, below tmp_path/photos; returns the folder."""

    def written(name: str, colour: Any = (200, 10, 50), size: tuple[int, int] = (8, 8)) -> Path:
        folder = tmp_path / "photos"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(colour, np.ndarray):
            image = Image.fromarray(colour)
        else:
            image = Image.new("RGB", (size[1], size[0]), colour)
        image.save(folder / name)
        return folder

    return written


def grey(level: int) -> tuple[int, int, int]:
    return level, level, level


@pytest.mark.parametrize(("channels", "shape"), [(1, (1, 6, 4)), (3, (3, 6, 4))])
def test_pictures_of_any_size_and_kind_become_one_tensor(
    write: Write, channels: int, shape: tuple[int, ...]
) -> None:
    for number, name in enumerate(KINDS):
        folder = write(name, grey(40 * number), size=(9 + number, 20))

    source = image_folder(folder, size=[6, 4], channels=channels)

    assert source.train.shape == (6, *shape)
    assert source.train.dtype == torch.uint8
    assert source.value_range == (0, 255)
    levels = source.train.float().mean((1, 2, 3))  # type: ignore[union-attr]
    torch.testing.assert_close(levels, 40.0 * torch.arange(6), atol=3, rtol=0)


def test_channels_are_red_green_blue(write: Write) -> None:
    write("a.png", (200, 10, 50))
    source = image_folder(write("b.png", (1, 2, 3)), size=2)

    assert source.train[:, :, 0, 0].tolist() == [[200, 10, 50], [1, 2, 3]]


def test_numbers_in_names_count_by_value(write: Write) -> None:
    names = ["img1.png", "img2.png", "img10.png", "Img11.png", "img011b.png"]
    for level, name in enumerate(names):
        folder = write(name, grey(10 * level))

    source = image_folder(folder, size=2, channels=1)

    assert source.train[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]


def test_the_aspect_ratio_is_kept_and_the_middle_shown(write: Write) -> None:
    wide = np.zeros((10, 40, 3), dtype=np.uint8)
    wide[:, 15:25] = 255
    wide[0, 15:25] = 50
    write("a.png", wide)
    tall = wide.transpose(1, 0, 2).copy()
    source = image_folder(write("b.png", tall), size=[10, 10], channels=1)

    shown = torch.full((10, 10), 255, dtype=torch.uint8)
    shown[0] = 50
    assert torch.equal(source.train[0, 0], shown)
    assert torch.equal(source.train[1, 0], shown.T)


def test_the_orientation_that_a_camera_noted_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:4] = 255  # white above; turned by a quarter, white on the right
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    for name in ("a.png", "b.png"):
        image.save(tmp_path / name, exif=exif)

    train = image_folder(tmp_path, size=8, channels=1).train

    assert train[0, 0, 0].tolist() == [0] * 4 + [255] * 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_orientation_counts_whatever_the_depth(dtype: Any, tmp_path: Path) -> None:
    """Upper half white; the camera was turned by a quarter, which puts it to the right."""
    pixels = np.zeros((40, 40), dtype)
    pixels[:20] = np.iinfo(dtype).max
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)

    picture = image_folder(tmp_path, size=4, channels=1).train[0, 0]

    assert picture[:, 0].tolist() == [0] * 4
    assert picture[:, 3].tolist() == [255] * 4


def test_values_of_unknown_range_are_refused(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        Image.fromarray(np.full((4, 4), 255, np.int32)).save(tmp_path / name)
    with pytest.raises(DataError, match=r"a\.tif \(its values are integers of 32 bits"):
        image_folder(tmp_path, size=4)


def test_pictures_that_use_little_of_their_range_are_remarked_on(write: Write) -> None:
    for top in (2000, 4095):
        folder = write(f"{top}.png", np.full((4, 4), top, dtype=np.uint16))

    assert "brighter than 16 of 255" in image_folder(folder, size=4).note

    write("c.png", grey(200))

    assert image_folder(folder, size=4).note == ""


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    for name, alpha in (("a.png", 0), ("b.png", 255)):
        Image.new("RGBA", (4, 4), (10, 20, 30, alpha)).save(tmp_path / name)

    train = image_folder(tmp_path, size=4).train

    assert train[:, :, 0, 0].tolist() == [[255, 255, 255], [10, 20, 30]]


def test_wider_values_are_scaled_and_not_clipped(write: Write) -> None:
    write("a.png", np.full((4, 4), 257 * 100, dtype=np.uint16))
    source = image_folder(write("b.png", np.full((4, 4), 65535, dtype=np.uint16)), size=4)

    assert source.train[:, 0, 0, 0].tolist() == [100, 255]


def test_the_topmost_sub_folder_is_the_label(write: Write) -> None:
    for name in ("class10/x.png", "class2/deep/y.png", "class2/z.png"):
        folder = write(name, grey(10 * len(name)))

    source = image_folder(folder, size=2)

    assert source.class_names == ("class2", "class10")
    assert source.train_labels is not None
    assert source.train_labels.tolist() == [0, 0, 1]


def test_pictures_beside_sub_folders_have_no_labels(write: Write) -> None:
    write("class/x.png", grey(100))
    source = image_folder(write("y.png", grey(2)), size=2)

    assert (len(source.train), source.train_labels, source.class_names) == (2, None, None)


def test_other_and_hidden_files_do_not_count(write: Write) -> None:
    for name in ("c/x.png", "d/yy.png", "c/.hidden.png"):
        folder = write(name, grey(10 * len(name)))
    for name in (".ipynb_checkpoints/x-checkpoint.png", "c/.ipynb_checkpoints/x-checkpoint.png"):
        write(name, grey(7))

    source = image_folder(folder, size=2)

    assert (len(source.train), source.class_names, source.note) == (2, ("c", "d"), "")


def test_what_is_left_out_is_counted(write: Write, tmp_path: Path) -> None:
    for name in ("x.png", "yy.png"):
        folder = write(name, grey(40 * len(name)))
    for name in ("notes.txt", "a.HEIC", "b.heic", "LICENSE"):
        (folder / name).write_text("no picture that is read")
    (tmp_path / "elsewhere").mkdir()
    (folder / "more").symlink_to(tmp_path / "elsewhere")

    source = image_folder(folder, size=2)

    assert len(source.train) == 2
    assert source.note == (
        "Files of other kinds are left out: 2 .heic, 1 .txt, 1 no ending. "
        "Links to folders are not followed: more."
    )


@pytest.fixture
def with_corrupt(write: Write) -> Path:
    """Four pictures, of which one is cut short and one is none."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for level, name in enumerate(["a.png", "b.jpg", "sub/c.png", "d.png"]):
        folder = write(name, noise if name == "b.jpg" else grey(50 * level))
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:2000])
    (folder / "sub" / "c.png").write_bytes(b"no picture at all")
    return folder


def test_corrupt_pictures_are_named(with_corrupt: Path) -> None:
    with pytest.raises(DataError) as caught:
        image_folder(with_corrupt, size=2)

    message = str(caught.value)
    assert "2 of 4 pictures cannot be decoded" in message
    assert "b.jpg (" in message
    assert f"{Path('sub', 'c.png')} (" in message
    assert "data.source.skip_corrupt=true" in message


def test_corrupt_pictures_are_skipped_on_request_and_the_log_names_them(
    with_corrupt: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        source = image_folder(with_corrupt, size=2, channels=1, skip_corrupt=True)

    assert source.train[:, 0, 0, 0].tolist() == [0, 150]
    assert "2 of 4 pictures were skipped" in source.note
    assert "skip   b.jpg" in caplog.text
    assert f"skip   {Path('sub', 'c.png')}" in caplog.text


def test_where_all_are_corrupt_none_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")

    with pytest.raises(DataError, match=r"1 of 1 pictures cannot be decoded.*None is left"):
        image_folder(tmp_path, skip_corrupt=True)


@pytest.mark.parametrize("size", [0, [4], [4, 0], [1, 2, 3], [2.5, 2]])
def test_a_size_that_is_none_is_an_error(write: Write, size: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.size=.*give \[H,W\]"):
        image_folder(write("a.png"), size=size)


def test_two_channels_are_an_error(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"data\.source\.channels=2: give 1"):
        image_folder(write("a.png"), channels=2)


def test_a_folder_that_is_none_or_has_no_pictures_is_an_error(write: Write, tmp_path: Path) -> None:
    file = write("a.png") / "a.png"
    (tmp_path / "empty").mkdir()
    for path, message in (
        (tmp_path / "none", "there is no such folder"),
        (file, "is a file: name the folder"),
        (tmp_path / "empty", r"there is no picture in this folder.*\.png"),
        ("", r"data\.path is not set"),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            image_folder(path)
