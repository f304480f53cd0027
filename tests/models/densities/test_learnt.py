"""Densities that learn by gradient: a flow, and a second VAE."""

from __future__ import annotations

import sys
from itertools import chain, repeat

import pytest
import torch
from torch import Tensor

from activae.errors import ConfigError, UserError
from activae.models.densities import learning
from activae.models.densities.density import Density
from activae.models.densities.kinds import KINDS, flow, restored, two_stage
from activae.models.densities.learning import learn, whitened
from activae.models.densities.mixtures import gaussian


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bent(n: int = 1500) -> Tensor:
    """Codes [n, 2] on a parabola, far from the origin: no normal distribution has their shape."""
    x = torch.randn(n, generator=noise())
    y = x.square() + 0.2 * torch.randn(n, generator=noise(1))
    return 30 + torch.stack([5 * x, y], 1)


@pytest.fixture(scope="module", autouse=True)
def short() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "_MOST_STEPS", 250)
        yield


@pytest.fixture(scope="module")
def learnt() -> dict[str, Density]:
    small = {"transforms": 3, "hidden": (16, 16)}
    return {
        "nsf": flow(bent(), seed=0, family="nsf", **small)[0],  # type: ignore[arg-type]
        "maf": flow(bent(), seed=0, family="maf", **small)[0],  # type: ignore[arg-type]
        "two_stage": two_stage(bent(), seed=0, hidden=(32,))[0],
    }


@pytest.mark.parametrize("kind", ["nsf", "maf", "two_stage"])
def test_what_is_drawn_lies_where_the_codes_do(kind: str, learnt: dict[str, Density]) -> None:
    """Far more often than what one normal distribution draws."""
    drawn = learnt[kind].sample(3000, noise(2))
    plain = gaussian(bent()).sample(3000, noise(2))

    away, plainly_away = (
        ((x[:, 1] - 30) - ((x[:, 0] - 30) / 5).square()).abs().median() for x in (drawn, plain)
    )
    assert away < plainly_away / 2
    assert torch.allclose(drawn.mean(0), bent().mean(0), atol=0.5)
    assert drawn.equal(learnt[kind].sample(3000, noise(2)))


@pytest.mark.parametrize("family", ["nsf", "maf"])
def test_a_flow_is_a_density_and_a_better_one_than_a_normal_distribution(
    family: str, learnt: dict[str, Density]
) -> None:
    unseen = bent(2500)[1500:]
    assert learnt[family].log_prob(unseen).mean() > gaussian(bent()).log_prob(unseen).mean() + 0.2

    across, up = torch.linspace(-5, 65, 500), torch.linspace(20, 60, 500)
    places = torch.cartesian_prod(across, up)
    cell = (across[1] - across[0]) * (up[1] - up[0])
    inside = learnt[family].log_prob(places).exp().sum() * cell

    assert inside.item() == pytest.approx(1, abs=0.03)


def test_a_second_stage_has_no_density_in_closed_form(learnt: dict[str, Density]) -> None:
    with pytest.raises(UserError, match="sampler=two_stage: the density of a second VAE"):
        learnt["two_stage"].log_prob(bent(2))


@pytest.mark.parametrize("kind", ["nsf", "two_stage"])
def test_the_parts_make_it_again(kind: str, learnt: dict[str, Density]) -> None:
    density = learnt[kind]
    again = restored({"form": density.form, **density.parts()}, 2)

    assert again.sample(9, noise()).equal(density.sample(9, noise()))


@pytest.mark.parametrize("kind", ["nsf", "two_stage"])
def test_parts_that_do_not_fit_each_other_are_refused_before_much_is_built(
    kind: str, learnt: dict[str, Density]
) -> None:
    parts = {"form": learnt[kind].form, **learnt[kind].parts()}
    for change in ({"hidden": [10**9]}, {"transforms": 10**9}):
        if set(change) <= set(parts):
            with pytest.raises(ValueError, match="weights of another"):
                restored(parts | change, 2)


@pytest.mark.parametrize("kind", ["flow", "two_stage"])
def test_seed_and_codes_say_all(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_MOST_STEPS", 3)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = (KINDS[kind](bent(200), seed=3, hidden=(8,))[0] for _ in range(2))

    assert first.sample(5, noise()).equal(again.sample(5, noise()))
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("kind", ["flow", "two_stage"])
def test_one_dimension_and_dimensions_that_never_vary_are_learnt_too(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "_MOST_STEPS", 300)
    line = bent(300)[:, :1]
    flat = torch.cat([line, torch.full_like(line, 4.0)], 1)

    for codes in (line, flat):
        drawn = KINDS[kind](codes, seed=0, hidden=(32,))[0].sample(500, noise())
        assert drawn[:, 0].std() == pytest.approx(float(line.std()), rel=0.5)
        assert codes is line or (drawn[:, 1] - 4).abs().max() < 0.2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "prior"])
def test_densities_of_one_dimension_are_made_again_of_their_parts(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "_MOST_STEPS", 3)
    density = KINDS[kind](bent(300)[:, :1], seed=0)[0]

    again = restored({"form": density.form, **density.parts()}, 1)

    assert again.sample(9, noise()).equal(density.sample(9, noise()))


@pytest.mark.parametrize("kind", ["flow", "two_stage"])
def test_what_cannot_be_learnt_is_named(kind: str) -> None:
    with pytest.raises(UserError, match="19 codes are too few to learn from: give 20 or more"):
        KINDS[kind](bent(19), seed=0)
    with pytest.raises(UserError, match="codes that are all equal have no spread"):
        KINDS[kind](torch.ones(30, 2), seed=0)
    with pytest.raises(ConfigError, match=r"sampler\.hidden=\[0\]"):
        KINDS[kind](bent(30), seed=0, hidden=[0])


def test_a_flow_of_few_codes_is_no_worse_than_a_normal_distribution() -> None:
    """It begins as one, and may stay so: what it learns of 70 codes in 8 dimensions is chance."""
    few, unseen = (torch.randn(n, 8, generator=noise(n)) for n in (70, 2000))

    found = flow(few, seed=0)[0]

    assert found.log_prob(unseen).mean() > gaussian(few).log_prob(unseen).mean() - 1


@pytest.mark.parametrize("codes", [120, 600])
def test_the_noise_of_a_second_stage_is_found_in_few_steps_too(
    codes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Normal codes are all noise to it: a deviation of 1, once they are white."""
    monkeypatch.setattr(learning, "_MOST_STEPS", 3000)

    found = two_stage(torch.randn(codes, 4, generator=noise()), seed=0, hidden=(16,))[0]

    assert found.parts()["noise"] > 0.6


@pytest.mark.parametrize(("codes", "steps"), [(60, 250), (600, 500), (3000, 600)])
def test_few_codes_are_learnt_in_few_steps(
    codes: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "_MOST_STEPS", 3000)
    module, taken = torch.nn.Linear(1, 1), []

    def loss(x: Tensor, noise: torch.Generator) -> Tensor:
        taken.append(torch.is_grad_enabled())
        return module.bias.sum()  # which can always be less

    learn(module, loss, torch.zeros(codes, 1), 0)

    assert sum(taken) == steps


def test_a_loss_that_is_never_finite_is_named() -> None:
    module = torch.nn.Linear(1, 1)

    factors = chain([1.0], repeat(float("nan")))  # at the start it is

    def loss(x: Tensor, noise: torch.Generator) -> Tensor:
        return module.bias.sum() * next(factors)

    with pytest.raises(UserError, match="it learns nothing from these codes; use the sampler gmm"):
        learn(module, loss, torch.zeros(60, 1), 0)


def test_another_family_is_named() -> None:
    with pytest.raises(ConfigError, match=r"sampler\.family=glow: must be one of nsf, maf"):
        flow(bent(30), seed=0, family="glow")


def test_without_zuko_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ConfigError, match=r"sampler=flow: needs zuko: pip install 'activae\[fl"):
        flow(bent(30), seed=0)


def test_white_codes_have_covariance_one_and_come_back() -> None:
    white, scale = whitened(bent(), 0)

    assert torch.allclose(torch.cov(white.T), torch.eye(2), atol=1e-4)
    assert torch.allclose(scale.invert(scale.apply(bent().double())), bent(), atol=1e-4)
