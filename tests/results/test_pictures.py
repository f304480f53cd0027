import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from activae.results.diagnostics import as_colours, reconstruction_grid, thumbnails

GREY = 0.5


def tile(grid, row, column, side):
    """One picture of a grid of square images; originals and reconstructions count as rows."""
    pair, below = divmod(row, 2)
    top = pair * (2 * (side + 2) + 3) + below * (side + 2) + 1
    left = column * (side + 2) + 1
    return grid[:, top : top + side, left : left + side]


def test_each_original_stands_above_its_reconstruction_in_rows_of_columns():
    originals = torch.arange(10).div(20).view(10, 1, 1, 1).expand(10, 1, 48, 48)
    grid = reconstruction_grid(originals, 1 - originals, columns=4)
    for i in range(10):
        row, column = 2 * (i // 4), i % 4
        assert (tile(grid, row, column, 48) == i / 20).all()
        assert (tile(grid, row + 1, column, 48) == 1 - i / 20).all()
    assert (tile(grid, 4, 2, 48) == GREY).all()  # nothing is left for the last two places
    assert (tile(grid, 5, 3, 48) == GREY).all()


def test_small_images_are_enlarged_pixel_by_pixel():
    digit = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = tile(reconstruction_grid(digit, digit), 0, 0, 48)
    assert torch.equal(shown[:, 3::6, 3::6], digit[0])
    assert torch.equal(shown[:, ::6, ::6], shown[:, 5::6, 5::6])


def test_values_outside_the_unit_range_are_clipped_and_nan_is_black():
    original = torch.zeros(1, 1, 48, 48)
    for value, shown in [(2.0, 1), (-1.0, 0), (math.inf, 1), (-math.inf, 0), (math.nan, 0)]:
        grid = reconstruction_grid(original, torch.full_like(original, value))
        assert (tile(grid, 1, 0, 48) == shown).all()


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(1, 20),
    channels=st.sampled_from([1, 3]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    columns=st.integers(1, 10),
)
def test_any_images_make_one_picture_in_the_unit_range(n, channels, height, width, columns):
    images = torch.rand(n, channels, height, width)
    grid = reconstruction_grid(images, images, columns=columns)
    assert grid.ndim == 3
    assert grid.shape[0] == channels
    assert grid.min() >= 0
    assert grid.max() <= 1
    assert grid.shape[2] <= 880


@pytest.mark.parametrize(
    ("pairs", "height", "width", "columns"),
    [
        (16, 8, 8, 8),
        (6, 64, 64, 6),
        (12, 64, 64, 6),
        (16, 8, 256, 1),
        (16, 256, 8, 16),
        (1, 8, 8, 1),
    ],
)
def test_a_card_of_tensorboard_shows_the_images_as_large_as_it_can(pairs, height, width, columns):
    images = torch.zeros(pairs, 1, height, width)
    assert torch.equal(
        reconstruction_grid(images, images), reconstruction_grid(images, images, columns=columns)
    )


def test_a_wide_grid_is_shrunk_until_it_needs_no_scrolling():
    images = torch.rand(8, 1, 256, 256).repeat_interleave(2, dim=3)
    grid = reconstruction_grid(images, images, columns=4)
    assert grid.shape == (1, 2 * (2 * (109 + 2) + 3), 880)
    picture = grid[:, 1 : 1 + 109, 1 : 1 + 218]
    assert abs(picture.mean() - images[0].mean()) < 0.01


def test_pictures_do_not_hold_on_to_the_graph():
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    assert not reconstruction_grid(images, images).requires_grad
    assert not thumbnails(images).requires_grad


def test_thumbnails_of_square_images_are_the_images_clipped():
    images = torch.tensor([[-1.0, 0.25], [0.5, 3.0]]).view(1, 1, 2, 2)
    assert thumbnails(images).flatten().tolist() == [0, 0.25, 0.5, 1]


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (5, 2), (1, 4)])
def test_thumbnails_are_square_with_the_image_in_the_middle(shape):
    square = thumbnails(torch.ones(3, 1, *shape))
    side = max(shape)
    assert square.shape == (3, 1, side, side)
    top, left = ((side - length) // 2 for length in shape)
    assert (square[..., top : top + shape[0], left : left + shape[1]] == 1).all()
    assert (square == GREY).sum() == 3 * (side**2 - shape[0] * shape[1])


def test_thumbnails_are_shrunk_only_where_the_projector_could_not_load_them(monkeypatch):
    monkeypatch.setattr("activae.results.diagnostics.SPRITE_SIDE", 100)
    images = torch.rand(50, 1, 1, 1).expand(50, 1, 15, 15)
    assert thumbnails(images[:36]).shape[-1] == 15  # 6 a side: 90 px
    small = thumbnails(images)
    assert small.shape == (50, 1, 12, 12)  # 8 a side: 96 px instead of 120
    torch.testing.assert_close(small[:, 0, 5, 5], images[:, 0, 0, 0])


@pytest.mark.parametrize("shape", [(7, 1, 8, 8), (3, 3, 6, 4)])
def test_tensorboard_takes_grid_and_thumbnails(tmp_path, shape):
    from torch.utils.tensorboard import SummaryWriter

    images = torch.rand(shape)
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_image("reconstructions", reconstruction_grid(images, images))
        writer.add_embedding(torch.rand(len(images), 2), label_img=thumbnails(images))
    assert list(tmp_path.rglob("sprite.png"))


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (16, 3)])
def test_images_of_any_number_of_channels_can_be_shown(channels: int, shown: int) -> None:
    images = torch.rand(2, channels, 8, 8)

    assert torch.equal(as_colours(images), images[:, :shown])
