"""Statistics come from the training split, travel with the model and can be undone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from activae.data import Normalisation, fit_normalisation
from activae.data.on_disk import survey
from activae.errors import ConfigError

KINDS = ["unit_range", "standardise", "none"]


def vectors(seed: int = 0, samples: int = 50) -> Tensor:
    noise = torch.randn(samples, 3, generator=torch.Generator().manual_seed(seed))
    return noise * torch.tensor([1.0, 10.0, 0.1]) + torch.tensor([0.0, -5.0, 100.0])


def pictures(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    bright = torch.randint(100, 256, (20, 1, 4, 4), generator=generator)
    dark = torch.randint(0, 50, (20, 1, 4, 4), generator=generator)
    return torch.cat([bright, dark], dim=1).to(torch.uint8)


def test_unit_range_uses_the_declared_range_where_there_is_one() -> None:
    normalise = fit_normalisation("unit_range", pictures(), (0, 255))
    assert torch.equal(normalise(pictures(1)), pictures(1).float() / 255)
    assert normalise.target_range.tolist() == [0, 1]


def test_unit_range_of_undeclared_images_is_global() -> None:
    train = pictures()
    normalised = fit_normalisation("unit_range", train, None)(train)
    assert normalised.aminmax() == (0, 1)
    assert normalised[:, 1].max() < 0.25, "the dark channel stays dark"


def test_unit_range_of_undeclared_vectors_is_by_feature() -> None:
    train = vectors()
    normalise = fit_normalisation("unit_range", train, None)
    low, high = normalise(train).aminmax(dim=0)
    torch.testing.assert_close(low, torch.zeros(3))
    torch.testing.assert_close(high, torch.ones(3))
    assert normalise.target_range.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("train", "dims"), [(vectors(), 0), (pictures(), (0, 2, 3)), (vectors().double(), 0)]
)
def test_standardise_gives_mean_0_and_deviation_1(
    train: Tensor, dims: int | tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "CHUNK_VALUES", 64)  # several chunks, the last one short
    normalise = fit_normalisation("standardise", train, None)
    normalised = normalise(train)
    variance, mean = torch.var_mean(normalised, dims, correction=0)
    # The offset is a float32: of 100 it may be 4e-6 off, which is 4e-5 deviations of 0.1.
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=6e-5, rtol=0)
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        normalise.target_range, torch.stack(normalised.aminmax()), atol=6e-5, rtol=1e-6
    )


def test_standardised_images_keep_what_differs_between_pixels() -> None:
    train = pictures()
    train[:, :, 0, 0] = 0  # a black corner
    normalised = fit_normalisation("standardise", train, None)(train)
    assert (normalised[:, :, 0, 0] < normalised[:, :, 1:].mean((0, 2, 3)) - 1).all()


def test_none_changes_nothing_and_reports_the_range() -> None:
    train = pictures()
    assert torch.equal(fit_normalisation("none", train, None)(train), train.float())
    observed = [train.min().item(), train.max().item()]
    assert fit_normalisation("none", train, None).target_range.tolist() == observed
    assert fit_normalisation("none", train, (0, 255)).target_range.tolist() == [0, 255]


@pytest.mark.parametrize("kind", ["unit_range", "standardise"])
def test_other_samples_are_scaled_by_the_training_split_and_may_leave_its_range(
    kind: str,
) -> None:
    train = vectors()
    normalise = fit_normalisation(kind, train, None)
    far = train.amax(0, keepdim=True) + 1000
    assert normalise(far).min() > normalise.target_range[1]
    assert torch.equal(normalise(torch.cat([train, far]))[:-1], normalise(train))


@pytest.mark.parametrize("kind", ["unit_range", "standardise"])
def test_a_constant_feature_is_shifted_and_not_blown_up(kind: str) -> None:
    train = vectors(samples=3000)
    train[:, 1] = 0.1
    normalise = fit_normalisation(kind, train, None)
    assert normalise.scale[1] == 1
    torch.testing.assert_close(normalise(train)[:, 1], torch.zeros(3000))
    assert normalise(train + 1)[0, 1] == pytest.approx(1)


@settings(deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(0, 1000),
    st.floats(1e-3, 1e3),
    st.floats(-1e3, 1e3),
    st.booleans(),
)
def test_inverse_undoes_forward(
    kind: str, seed: int, spread: float, shift: float, is_image: bool
) -> None:
    raw = torch.randn(8, 16, generator=torch.Generator().manual_seed(seed)) * spread + shift
    raw = raw.reshape(8, 1, 4, 4) if is_image else raw
    normalise = fit_normalisation(kind, raw[:6], None)
    tolerance = 1e-5 * (spread + abs(shift))
    torch.testing.assert_close(normalise.inverse(normalise(raw)), raw, atol=tolerance, rtol=1e-5)


def test_small_differences_between_large_numbers_survive() -> None:
    seconds = 1.7e9 + torch.arange(100, dtype=torch.float64).unsqueeze(1)
    normalised = fit_normalisation("standardise", seconds, None)(seconds)
    assert normalised.dtype == torch.float32
    assert normalised.std(correction=0) == pytest.approx(1, abs=1e-4)
    assert (normalised.diff(dim=0) > 0).all()


@pytest.mark.parametrize("raw", [pictures(), pictures().float(), pictures().double()])
def test_the_raw_data_are_left_as_they_are(raw: Tensor) -> None:
    before = raw.clone()
    fit_normalisation("standardise", raw, None)(raw)
    assert torch.equal(raw, before)


@pytest.mark.parametrize("saved_kind", KINDS)
def test_a_state_dict_restores_any_kind_into_any_other(saved_kind: str) -> None:
    saved = fit_normalisation(saved_kind, pictures(), None)
    fresh = Normalisation(torch.zeros(2, 4, 4), torch.ones(2, 4, 4), (0, 1))
    fresh.load_state_dict(saved.state_dict())
    assert torch.equal(fresh(pictures(1)), saved(pictures(1)))
    assert torch.equal(fresh.target_range, saved.target_range)


def test_gradients_pass_through() -> None:
    raw = vectors().requires_grad_()
    normalise = fit_normalisation("standardise", raw.detach(), None)
    normalise(raw).sum().backward()
    torch.testing.assert_close(raw.grad, (1 / normalise.scale).expand(50, 3))


def test_an_unknown_kind_lists_the_choices() -> None:
    message = r"data\.normalisation=zscore: choose one of unit_range, standardise, none"
    with pytest.raises(ConfigError, match=message):
        fit_normalisation("zscore", vectors(), None)


def test_rms_scales_all_values_alike_to_a_mean_square_of_one() -> None:
    train = torch.tensor([[0.0, 0.3], [0.0, 4.0], [2.0, 0.0]])

    normalise = fit_normalisation("rms", train, None)

    normalised = normalise(train)
    torch.testing.assert_close(normalised.square().mean(), torch.tensor(1.0))
    torch.testing.assert_close(normalised / normalised[1, 1], train / 4.0)
    assert normalise.target_range.tolist() == pytest.approx([0.0, normalised.max().item()])
    torch.testing.assert_close(normalise.inverse(normalised), train)


LARGE_OFFSETS = {
    "unix time, 60 s": (1700000050, 60.0),
    "northing, 1 m": (5.54e6 + 0.3, 1.0),
    "pressure in Pa": (101325, 0.01),
}


@pytest.mark.parametrize("offset", LARGE_OFFSETS.values(), ids=LARGE_OFFSETS)
def test_an_offset_that_float32_cannot_hold_is_subtracted_whole(
    offset: tuple[float, float],
) -> None:
    start, span = offset
    noise = torch.rand(500, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    raw = start + span * noise

    unit = fit_normalisation("unit_range", raw, None)
    standard = fit_normalisation("standardise", raw, None)

    low, high = unit(raw).aminmax(dim=0)
    assert low.tolist() == pytest.approx([0, 0], abs=1e-6)
    assert high.tolist() == pytest.approx([1, 1], abs=1e-6)
    assert standard(raw).mean(0).tolist() == pytest.approx([0, 0], abs=1e-5)
    least = standard(raw).min().item()
    assert least == pytest.approx(standard.target_range[0].item(), abs=1e-5)
    torch.testing.assert_close(unit.inverse(unit(raw)), raw, rtol=0, atol=1e-6 * span)


def test_an_ordinary_offset_needs_no_more_than_float32() -> None:
    raw = vectors().double()[:, :2]
    for kind in KINDS:
        assert not fit_normalisation(kind, raw, None).offset_rest.any()
        assert not fit_normalisation(kind, 1e4 + raw.float(), None).offset_rest.any()


def test_a_checkpoint_without_the_rest_of_the_offset_loads() -> None:
    made = fit_normalisation("standardise", vectors(), None)
    old = {name: value for name, value in made.state_dict().items() if name != "offset_rest"}

    other = Normalisation(torch.zeros(3), torch.ones(3), (0.0, 1.0))
    other.load_state_dict(old)

    assert torch.equal(other(vectors()), made(vectors()))
