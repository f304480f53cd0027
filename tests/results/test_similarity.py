import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.image import structural_similarity_index_measure

from activae.results.scores import structural_similarity


def noisy_pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(shape, generator=generator)
    return images, images + 0.2 * torch.randn(shape, generator=generator)


@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((4, 1, 28, 28), {"gaussian_kernel": True}),
        ((4, 3, 32, 32), {"gaussian_kernel": True}),
        ((4, 1, 16, 40), {"gaussian_kernel": True}),
        ((4, 1, 8, 8), {"gaussian_kernel": False, "kernel_size": 7}),
        ((4, 2, 15, 20), {"gaussian_kernel": False, "kernel_size": 7}),
        ((4, 1, 6, 9), {"gaussian_kernel": False, "kernel_size": 5}),
        ((4, 1, 3, 3), {"gaussian_kernel": False, "kernel_size": 3}),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("value_span", [1.0, 2.5])
def test_equals_torchmetrics_inside_the_border(shape, window, value_span):
    images, others = noisy_pair(*shape)
    _, ssim_map = structural_similarity_index_measure(
        others, images, data_range=value_span, return_full_image=True, reduction="none", **window
    )
    border = 5 if window["gaussian_kernel"] else window["kernel_size"] // 2
    inside = ssim_map[..., border:-border, border:-border]
    assert inside.numel() > 0
    ours = structural_similarity(images, others, value_span=value_span)
    torch.testing.assert_close(ours, inside.flatten(1).mean(1), atol=2e-6, rtol=1e-5)


def test_more_images_than_are_taken_at_a_time_keep_their_order():
    images, others = noisy_pair(600, 1, 8, 8)
    together = structural_similarity(images, others, value_span=1.0)
    alone = [
        structural_similarity(images[i : i + 1], others[i : i + 1], value_span=1.0)
        for i in (0, 256, 599)
    ]
    torch.testing.assert_close(together[[0, 256, 599]], torch.cat(alone))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), side=st.integers(3, 20))
def test_is_one_for_equal_images_symmetric_and_blind_to_the_unit(seed, side):
    images, others = noisy_pair(2, 1, side, side, seed=seed)
    ssim = structural_similarity(images, others, value_span=1.0)
    assert (ssim < 1).all()
    torch.testing.assert_close(structural_similarity(others, images, value_span=1.0), ssim)
    in_bytes = structural_similarity(255 * images, 255 * others, value_span=255.0)
    torch.testing.assert_close(in_bytes, ssim, atol=1e-4, rtol=1e-4)
    same = structural_similarity(images, images, value_span=1.0)
    torch.testing.assert_close(same, torch.ones(2))


def test_constant_images_compare_by_their_brightness_alone():
    black, white = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    luminance = 0.01**2 / (1 + 0.01**2)  # eq. 6 of the paper, with means 0 and 1
    ssim = structural_similarity(black, white, value_span=1.0)
    assert ssim.item() == pytest.approx(luminance, rel=1e-4)
