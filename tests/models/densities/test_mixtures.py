"""Densities of codes: as torch's own, true to what they were fitted to, and refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from activae.errors import UserError
from activae.models.densities.mixtures import (
    Mixture,
    gaussian,
    gaussian_mixture,
    kernel_density,
    standard,
)

CENTRES = torch.tensor([[0.0, 0.0, 0.0], [20.0, -20.0, 5.0]])


def _kernels(x: Tensor) -> Mixture:
    return kernel_density(x, noise())


def _mixture(x: Tensor) -> Mixture:
    return gaussian_mixture(x, 1, 0)[0]


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(shares: tuple[int, int] = (300, 700)) -> Tensor:
    """Two clusters in 3 dimensions, of which the last two go together."""
    which = torch.repeat_interleave(torch.arange(2), torch.tensor(shares))
    x = torch.randn(sum(shares), 3, generator=noise())
    x[:, 2] = 0.8 * x[:, 1] + 0.6 * x[:, 2]
    return CENTRES[which] + x


FITS = {
    "several": lambda: gaussian_mixture(codes(), 2, 0)[0],
    "one": lambda: gaussian(codes()),
    "one around each": lambda: kernel_density(codes((20, 30)), noise()),
    "standard": lambda: standard(3),
}


@pytest.mark.parametrize("which", FITS)
def test_densities_are_those_of_torch(which: str) -> None:
    mixture = FITS[which]()
    factors = mixture.factors.expand(len(mixture.means), -1, -1)
    normals = MultivariateNormal(mixture.means, scale_tril=factors)
    theirs = MixtureSameFamily(Categorical(logits=mixture.log_weights), normals)
    x = 3 * torch.randn(50, 3, generator=noise(1)).double()

    assert torch.allclose(mixture.log_prob(x), theirs.log_prob(x), rtol=1e-9)


@pytest.mark.parametrize("which", ["several", "one"])
def test_what_is_drawn_has_the_mean_and_covariance_of_the_codes(which: str) -> None:
    x = codes()
    drawn = FITS[which]().sample(100_000, noise(2))

    assert torch.allclose(drawn.mean(0), x.mean(0), atol=0.15)
    assert torch.allclose(torch.cov(drawn.T), torch.cov(x.T), rtol=0.03, atol=0.1)


def test_clusters_are_found_with_their_shares_and_counted_by_bic() -> None:
    mixture, notes = gaussian_mixture(codes(), None, 0)

    order = mixture.means[:, 0].argsort()
    assert torch.allclose(mixture.means[order].float(), CENTRES, atol=0.2)
    assert mixture.log_weights.exp()[order].tolist() == pytest.approx([0.3, 0.7])
    assert notes == []


def test_a_kernel_density_draws_near_the_codes_it_keeps() -> None:
    few = codes((2, 2))
    mixture = kernel_density(few, noise())
    width = torch.linalg.matrix_norm(mixture.factors[0].float())

    nearest = torch.cdist(mixture.sample(200, noise(3)), few).min(1).values
    assert nearest.max() < 5 * width
    assert len(mixture.means) == 4


def test_codes_of_one_dimension_and_dimensions_that_never_vary_are_drawn_as_they_are() -> None:
    line = codes()[:, :1]
    assert gaussian(line).sample(7, noise()).shape == (7, 1)
    flat = torch.cat([line, torch.full_like(line, 4.0)], 1)

    for mixture in (gaussian(flat), gaussian_mixture(flat, 2, 0)[0], kernel_density(flat, noise())):
        drawn = mixture.sample(1000, noise())
        assert (drawn[:, 1] - 4).abs().max() < 0.1
        assert drawn[:, 0].std() == pytest.approx(float(line.std()), rel=0.2)


def test_a_component_on_fewer_codes_than_dimensions_is_told() -> None:
    outliers = torch.cat([codes(), torch.tensor([[900.0, 0.0, 0.0], [901.0, 0.0, 0.0]])])

    _, [note] = gaussian_mixture(outliers, 3, 0)

    assert note.startswith("1 of 3 components holds fewer codes than the code has dimensions")
    assert note.endswith("give at most 2 components")


def test_no_more_components_are_advised_than_the_codes_can_fill() -> None:
    _, [note] = gaussian_mixture(torch.randn(35, 32, generator=noise()), 10, 0)

    assert note.endswith("give at most 1 component")


def test_a_number_that_bic_chose_is_not_blamed_on_the_user() -> None:
    few = torch.cat([codes(), CENTRES[:1] + torch.tensor([[90.0, 0.0, 0.0]]) * torch.ones(3, 1)])

    mixture, [note] = gaussian_mixture(
        few + 1e-3 * torch.randn(few.shape, generator=noise()), None, 0
    )

    number = len(mixture.means)
    assert note.startswith(f"BIC chose {number} components, of which 1 holds fewer codes")
    assert note.endswith(f"give at most {number - 1} component{'s' if number > 2 else ''}")


def test_a_mixture_is_fitted_on_one_thread_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    """On two it takes seven times the CPU time: they wait for each other, spinning."""
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_info

    threads: list[int] = []
    fit = GaussianMixture.fit

    def watched(self: GaussianMixture, x: object) -> object:
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return fit(self, x)

    monkeypatch.setattr(GaussianMixture, "fit", watched)
    gaussian_mixture(codes(), 2, 0)

    assert set(threads) == {1}


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.ones(9, 3), "codes that are all equal have no spread"),
        (torch.ones(1, 3), "1 codes"),
        (torch.tensor([[0.0], [float("nan")]]), "not all finite"),
    ],
)
def test_codes_without_a_spread_are_refused(x: Tensor, said: str) -> None:
    for fit in (
        gaussian,
        lambda x: kernel_density(x, noise()),
        lambda x: gaussian_mixture(x, 1, 0),
    ):
        with pytest.raises(UserError, match=said):
            fit(x)


def test_bic_chooses_no_more_components_than_codes_can_carry() -> None:
    mixture, notes = gaussian_mixture(torch.randn(40, 8, generator=noise()), None, 0)

    assert len(mixture.means) * 9 <= 40
    assert notes == []


def test_fewer_codes_than_components_are_refused() -> None:
    with pytest.raises(UserError, match="4 codes are fewer than the 5 components"):
        gaussian_mixture(codes((2, 2)), 5, 0)


def test_the_same_generator_draws_the_same() -> None:
    mixture = gaussian(codes())
    assert isinstance(mixture, Mixture)
    assert mixture.sample(5, noise(4)).equal(mixture.sample(5, noise(4)))
